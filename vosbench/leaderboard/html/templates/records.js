// The record behind a number, in a dialog.
const isPlain = (value) => value === null || typeof value !== "object";

// [key, text] of a value of the provenance, of nested mappings one for each
const facts = (value, prefix = "") => {
  if (value === null || (Array.isArray(value) && !value.length)) return [];
  if (isPlain(value)) return [[prefix, String(value)]];
  if (Array.isArray(value)) return [[prefix, value.map((item) => (isPlain(item) ? String(item) : JSON.stringify(item))).join(" ")]];
  return Object.entries(value).flatMap(([key, item]) => facts(item, prefix ? `${prefix}: ${key}` : key.replaceAll("_", " ")));
};

const factList = (pairs) => element("dl", { className: "provenance" }, ...pairs.map(([key, text]) =>
  element("div", {}, element("dt", { textContent: key }), element("dd", { textContent: text }))));

const heading = (text) => element("h3", { textContent: text });

const plainTable = (caption, head, lines) => {
  const cell = (tag, text, scope) => Object.assign(element(tag, { textContent: text }), scope ? { scope } : {});
  const headRow = element("tr", {}, ...head.map((text) => cell("th", text, "col")));
  headRow.cells[0].className = "left";
  const body = lines.map(([name, ...rest]) => element("tr", {}, cell("th", name, "row"), ...rest.map((text) => cell("td", text))));
  return element("div", { className: "scroll" }, element("table", {}, element("caption", { textContent: caption }),
    element("thead", {}, headRow), element("tbody", {}, ...body)));
};

const shown = (value) => (value ? value[1] : "-");

const verdictOf = (item) => element("p", {},
  element("span", { className: `verdict ${item.verdict.replaceAll(" ", "-")}`, textContent: item.verdict }),
  ` measured ${item.measured}, published ${item.published} (${item.difference}): ${[item.source, ...item.remarks].join("; ")}`);

const madeBy = (common, own, path, key) => {
  const { config, ...rest } = { ...common, ...own };
  const where = rest.reported ? [] : [["record", path], ...(key ? [["key", key]] : [])];
  const parts = [heading("How it was made"), factList([...where, ...facts(rest)])];
  if (config) {
    parts.push(element("details", {}, element("summary", { textContent: "Settings, in full" }),
      element("pre", { textContent: JSON.stringify(config, null, 1) })));
  }
  return parts;
};

const overallRecord = (board, row, metric) => {
  // a method that failed everywhere may be alone on a board without any metric
  const name = metric || board.metrics[0];
  const compared = row.published.filter((item) => !metric || item.metric === metric);
  const value = row.values[name];
  const parts = [];
  if (value) {
    const interval = element("small", { textContent: ` ${row.intervals[name] || ""}` });
    parts.push(element("p", { className: "big" }, `${name} ${shown(value)}`, interval), factList([["unrounded", String(value[0])]]));
  }
  parts.push(element("p", { textContent: `Status: ${row.status.filter(Boolean).join(", ")}` }));
  parts.push(...compared.map(verdictOf));
  const lines = Object.entries(row.records).map(([sequence, record]) => [sequence, shown(record.values[name])]);
  parts.push(...Object.entries(row.failures).map(([sequence, text]) =>
    element("p", { className: "warning", textContent: `${sequence}: ${text}` })));
  if (lines.length) {
    parts.push(element("details", {}, element("summary", { textContent: `The ${lines.length} sequences behind it` }),
      plainTable(`${name} of every sequence`, ["sequence", name], lines)));
  }
  parts.push(...madeBy(row.provenance, {}, row.path));
  return [`${row.name}, ${board.title}`, parts];
};

const sequenceRecord = (board, row, sequence, jump) => {
  const record = row.records[sequence];
  const title = `${row.name} on ${sequence}`;
  if (!record) return [title, [element("p", { textContent: row.failures[sequence] || "Not measured." })]];
  const button = element("button", { type: "button", textContent: "Show its frames" });
  button.addEventListener("click", jump);
  const order = [...new Set([...board.metrics, ...Object.keys(record.values)])].filter((name) => name in record.values);
  const values = order.map((name) => [name, shown(record.values[name]), record.values[name] ? String(record.values[name][0]) : "-"]);
  const seconds = Object.entries(record.seconds).map(([step, value]) => [`seconds per frame, ${step}`, String(value)]);
  return [title, [element("p", {}, button), plainTable("Values", ["metric", "value", "unrounded"], values),
    ...(seconds.length ? [factList(seconds)] : []),
    ...madeBy(row.provenance, record.provenance, `${row.path}${sequence}.json`, record.key)]];
};

const openRecord = ([title, parts]) => {
  const dialog = document.getElementById("record");
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector(".body").replaceChildren(...parts);
  dialog.showModal();
  dialog.scrollTop = 0;
};

const closeRecord = () => document.getElementById("record").close();
