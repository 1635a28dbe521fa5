// Links to what the explorer shows: #SECTION?sequence=...&frame=...&a=METHOD&b=METHOD&measure=...&view=...
const linkTo = (explorer) => {
  const [a, b] = explorer.rows.map((row) => row.name);
  const { sequence, frame, letter } = explorer;
  const query = new URLSearchParams({ sequence, frame, a, b, measure: letter, view: explorer.form.view.value });
  return `#${encodeURIComponent(explorer.root.closest("section").id)}?${query}`;
};

const decoded = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

const choose = (field, value) => {
  if ([...field.options].some((option) => option.value === value)) field.value = value;
};

// show what the address names; what this page lacks is named above the tables
const openLink = () => {
  const [id, query] = location.hash.slice(1).split(/\?(.*)/s);
  const missing = [];
  if (query !== undefined) {
    const section = document.getElementById(decoded(id));
    const root = section && section.querySelector(".explorer");
    if (root) missing.push(...openView(root, new URLSearchParams(query)));
    else missing.push(`table ${decoded(id)}`);
  }
  const line = document.getElementById("lost");
  line.textContent = `This page lacks what its address names: ${missing.join(", ")}.`;
  line.hidden = !missing.length;
};

// open the explorer at a view; returns what it lacks
const openView = (root, view) => {
  const explorer = explorerOf(root);
  const { board, form } = explorer;
  const sequence = view.get("sequence");
  const known = sequence in board.sequences;
  const places = Object.fromEntries(["a", "b"].filter((side) => view.has(side))
    .map((side) => [side, board.rows.findIndex((row) => row.name === view.get(side))]));
  choose(form.letter, view.get("measure"));
  choose(form.view, view.get("view"));
  root.open = true;
  const rows = Object.fromEntries(Object.entries(places).filter(([, place]) => place >= 0));
  const frame = /^\d{1,9}$/.test(view.get("frame")) ? Number(view.get("frame")) : undefined;
  explorer.open({ ...rows, ...(known ? { sequence, frame } : {}) });
  root.scrollIntoView({ block: "start" });
  const lost = Object.keys(places).filter((side) => places[side] < 0).map((side) => `method ${view.get(side)}`);
  return known ? lost : [`sequence ${sequence}`, ...lost];
};
