"use strict";
const valueOf = (row, column) => {
  const cell = row.cells[column];
  return "value" in cell.dataset ? (cell.dataset.value === "" ? NaN : Number(cell.dataset.value)) : cell.textContent.trim();
};

const compare = (a, b) => {
  if (typeof a === "string") return a.localeCompare(b);
  // cells without a value stay last, whatever the direction
  return a - b;
};

for (const button of document.querySelectorAll("table.sortable button.sort")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const numeric = !head.classList.contains("left");
    const now = head.getAttribute("aria-sort");
    const ascending = now ? now === "descending" : !numeric;
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [valueOf(row, head.cellIndex), row]);
    const empty = ([value]) => Number.isNaN(value);
    const filled = rows.filter((pair) => !empty(pair));
    filled.sort(([a], [b]) => (ascending ? compare(a, b) : compare(b, a)));
    for (const [, row] of [...filled, ...rows.filter(empty)]) body.append(row);
  });
}

for (const filter of document.querySelectorAll(".filter")) {
  filter.hidden = false;
  const section = filter.closest("section");
  filter.querySelector("input").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const item of section.querySelectorAll("[data-sequence]")) {
      item.hidden = !item.dataset.sequence.toLowerCase().includes(wanted);
    }
  });
}
