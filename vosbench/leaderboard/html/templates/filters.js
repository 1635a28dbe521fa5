// One row of filters for all tables of the page.
const includes = (text, wanted) => text.toLowerCase().includes(wanted);

// a method is a row of some tables and a column of others
const filterColumns = (table, wanted) => {
  for (const head of table.tHead.rows[0].cells) {
    if (!("method" in head.dataset)) continue;
    const hidden = !includes(head.dataset.method, wanted);
    head.hidden = hidden;
    for (const row of table.tBodies[0].rows) row.cells[head.cellIndex].hidden = hidden;
  }
};

const count = (items) => `${[...items].filter((item) => !item.hidden).length} of ${items.length}`;

const applyFilters = (form) => {
  const chosen = Object.fromEntries([...new FormData(form)].map(([name, text]) => [name, text.trim()]));
  const method = chosen.method.toLowerCase();
  const sequence = chosen.sequence.toLowerCase();
  const sections = document.querySelectorAll("main > section");
  for (const section of sections) {
    section.hidden = ["label", "protocol"].some((name) => chosen[name] && section.dataset[name] !== chosen[name]);
  }
  for (const item of document.querySelectorAll("nav [data-section]")) {
    item.hidden = document.getElementById(item.dataset.section).hidden;
  }
  for (const item of document.querySelectorAll("main [data-method]:not(thead *)")) {
    item.toggleAttribute("hidden", !includes(item.dataset.method, method));
  }
  for (const item of document.querySelectorAll("main [data-sequence]")) {
    const has = !chosen.attribute || (item.dataset.attributes || "").split(" ").includes(chosen.attribute);
    item.hidden = !has || !includes(item.dataset.sequence, sequence);
  }
  for (const table of document.querySelectorAll("table[data-kind]")) filterColumns(table, method);
  const rows = document.querySelectorAll("main > section:not([hidden]) table[data-kind=overall] tbody tr");
  form.querySelector("output").textContent = `${count(sections)} tables, ${count(rows)} methods`;
};

const startFilters = () => {
  const form = document.querySelector("form.filters");
  if (!form) return;
  form.hidden = false;
  form.addEventListener("input", () => applyFilters(form));
  form.addEventListener("submit", (event) => event.preventDefault());
  // the fields are empty only after the event
  form.addEventListener("reset", () => setTimeout(() => applyFilters(form)));
};

const filterByAttribute = (code) => {
  const choice = document.querySelector("form.filters [name=attribute]");
  choice.value = code;
  choice.dispatchEvent(new Event("input", { bubbles: true }));
};
