// Sorting by column heads; moving between cells with the arrow keys.
const valueOf = (row, column) => {
  const cell = row.cells[column];
  return "value" in cell.dataset ? (cell.dataset.value === "" ? NaN : Number(cell.dataset.value)) : cell.textContent.trim();
};

const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);

const sortBy = (head) => {
  const body = head.closest("table").tBodies[0];
  const numeric = !head.classList.contains("left");
  const now = head.getAttribute("aria-sort");
  const ascending = now ? now === "descending" : !numeric;
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const rows = [...body.rows].map((row) => [valueOf(row, head.cellIndex), row]);
  // cells without a value stay last, whatever the direction
  const empty = ([value]) => Number.isNaN(value);
  const filled = rows.filter((pair) => !empty(pair));
  filled.sort(([a], [b]) => (ascending ? compare(a, b) : compare(b, a)));
  body.append(...[...filled, ...rows.filter(empty)].map(([, row]) => row));
};

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const neighbour = (cell, [down, right]) => {
  const lines = [...cell.closest("tbody").rows].filter(isVisible);
  const row = lines[lines.indexOf(cell.parentElement) + down];
  const cells = row ? [...row.cells].filter(isVisible) : [];
  if (!right) return row && isVisible(row.cells[cell.cellIndex]) ? row.cells[cell.cellIndex] : undefined;
  return cells[cells.indexOf(cell) + right];
};

const focusCell = (table, cell) => {
  for (const other of table.querySelectorAll("tbody [tabindex='0']")) other.tabIndex = -1;
  cell.tabIndex = 0;
  cell.focus();
};

// one stop of the Tab key for a whole table; `activate` gets the cell that was chosen
const makeGrid = (table, activate) => {
  const body = table.tBodies[0];
  table.setAttribute("role", "grid");
  for (const row of body.rows) {
    for (const cell of row.cells) {
      cell.tabIndex = -1;
      if (cell.tagName === "TD") cell.setAttribute("role", "gridcell");
    }
  }
  if (body.rows.length) body.rows[0].cells[0].tabIndex = 0;
  body.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td, th");
    if (STEPS[event.key]) {
      const next = neighbour(cell, STEPS[event.key]);
      if (next) focusCell(table, next);
      event.preventDefault();
    } else if (event.key === "Enter" || event.key === " ") {
      activate(cell);
      event.preventDefault();
    }
  });
  body.addEventListener("click", (event) => {
    const cell = event.target.closest("td, th");
    focusCell(table, cell);
    activate(cell);
  });
};
