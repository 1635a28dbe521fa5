// Small helpers that every other part uses.
const data = JSON.parse(document.getElementById("payload").textContent);

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const drawing = (tag, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

const isVisible = (item) => !item.hidden && !item.closest("[hidden]");

// values of frames are sent in thousandths
const percent = (value) => (value === null || value === undefined ? "-" : (value / 10).toFixed(1));

const boardOf = (item) => Number(item.closest("[data-board]").dataset.board);
