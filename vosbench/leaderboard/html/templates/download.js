// A table as CSV: the rows and columns that are shown, in their order, values unrounded.
const MARKS = /\s[↑↓]$/;

// spreadsheets run texts that begin like a formula; numbers are ours
const csvText = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);

const csvField = (text) => `"${String(text).replaceAll('"', '""')}"`;

const csvValue = (cell) => {
  if ("value" in cell.dataset) return cell.dataset.value;
  const { method, sequence, attribute } = cell.tagName === "TH" ? cell.parentElement.dataset : {};
  const text = method ?? sequence ?? attribute ?? cell.textContent.trim().replace(/\s+/g, " ");
  return csvText(text === "-" ? "" : text);
};

// the notes of a cell (its interval, the source of a published value) are a column of their own
const csvOf = (table) => {
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  const columns = heads.flatMap((head, place) => {
    if (head.hidden) return [];
    const name = head.textContent.trim().replace(MARKS, "");
    const values = [csvText(name), ...rows.map((row) => csvValue(row.cells[place]))];
    const notes = rows.map((row) => csvText(row.cells[place].dataset.note ?? ""));
    return notes.some(Boolean) ? [values, [csvText(`${name}: ${head.dataset.note}`), ...notes]] : [values];
  });
  return columns[0].map((_, line) => `${columns.map((column) => csvField(column[line])).join(",")}\r\n`).join("");
};

const addDownload = (table) => {
  const caption = table.caption.textContent.trim();
  const name = `${table.closest("section").id} ${table.dataset.kind || "published"} ${table.dataset.metric || ""}`;
  const button = element("button", { type: "button", textContent: "CSV", title: "values unrounded, fractions of 1" });
  button.setAttribute("aria-label", `Download as CSV: ${caption}`);
  button.addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([csvOf(table)], { type: "text/csv;charset=utf-8" }));
    element("a", { href: address, download: `${name.trim().replace(/[^\w.-]+/g, "-")}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  });
  table.closest(".scroll").before(element("p", { className: "tools" }, button));
};
