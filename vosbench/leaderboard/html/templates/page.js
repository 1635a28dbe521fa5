// What happens when the page opens.
const ACTIONS = {
  overall: (cell, section, board) => {
    const row = board.rows[Number(cell.parentElement.dataset.row)];
    openRecord(overallRecord(board, row, cell.dataset.metric));
  },
  sequence: (cell, section, board) => {
    const { sequence } = cell.parentElement.dataset;
    if (cell.tagName === "TH") {
      jumpTo(section, { sequence });
      return;
    }
    const index = Number(cell.dataset.row);
    openRecord(sequenceRecord(board, board.rows[index], sequence, () => {
      closeRecord();
      jumpTo(section, { sequence, a: index });
    }));
  },
  attribute: (cell) => filterByAttribute(cell.parentElement.dataset.attribute),
};

for (const button of document.querySelectorAll("table.sortable button.sort")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}

for (const table of document.querySelectorAll("table.cells")) {
  const section = table.closest("section");
  makeGrid(table, (cell) => ACTIONS[table.dataset.kind](cell, section, data.boards[boardOf(section)]));
}

for (const table of document.querySelectorAll("table.sortable")) addDownload(table);

for (const item of document.querySelectorAll(".scripted, .unscripted")) item.hidden = !item.hidden;

startFilters();

for (const root of document.querySelectorAll(".explorer")) {
  root.hidden = false;
  // a page of many data sets would decode pictures that nobody looks at
  if (root.open) explorerOf(root);
  root.addEventListener("toggle", () => root.open && explorerOf(root));
}

for (const chart of document.querySelectorAll(".charts figure")) {
  chart.addEventListener("click", () => jumpTo(chart.closest("section"), { sequence: chart.dataset.sequence }));
}

addEventListener("hashchange", openLink);
openLink();

const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
const showTheme = () => theme.setAttribute("aria-pressed", isDark());
theme.hidden = false;
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
system.addEventListener("change", showTheme);
showTheme();
