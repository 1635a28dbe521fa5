// Frames of two methods beside each other, where they differ, and the worst of them.
const WORST = 12;
// frames nearer to one that is listed than this part of the video show the same failure once more
const APART = 0.1;
const LETTERS = ["J", "F"];

const hasLetter = (board, letter) => board.rows.some((row) => Object.values(row.records).some((record) => letter in record.frames));

const swatch = (side, text) => element("span", { className: `key of-${side}`, textContent: text });

class Explorer {
  constructor(root) {
    this.root = root;
    this.board = data.boards[boardOf(root)];
    this.form = Object.fromEntries([...root.querySelectorAll("[name]")].map((field) => [field.name, field]));
    this.figures = Object.fromEntries([...root.querySelectorAll("figure")].map((figure) => [figure.dataset.side, figure]));
    this.letters = LETTERS.filter((letter) => hasLetter(this.board, letter));
    this.form.letter.replaceChildren(...this.letters.map((letter) => element("option", { textContent: letter })));
    const pictured = Object.keys(this.board.sequences).some((sequence) => picturesOf(this.board, sequence));
    for (const name of ["view", "truth"]) this.form[name].closest("label").hidden = !pictured;
    this.form.letter.closest("label").hidden = this.letters.length < 2;
    root.querySelector(".timeline").classList.toggle("bare", !this.letters.length);
    this.timeline = new Timeline(root.querySelector(".timeline"), (frame) => this.show(frame));
    for (const name of ["sequence", "a", "b", "letter"]) this.form[name].addEventListener("change", () => this.open());
    for (const name of ["view", "truth"]) this.form[name].addEventListener("change", () => this.show(this.frame));
    for (const name of ["order", "scope"]) this.form[name].addEventListener("change", () => this.list());
    this.open();
    this.list();
  }

  get sequence() { return this.form.sequence.value; }
  get letter() { return this.form.letter.value; }
  get rows() { return [this.form.a, this.form.b].map((field) => this.board.rows[Number(field.value)]); }

  // whose masks are drawn; numbers that others reported come without any
  get models() { return this.rows.map((row) => (row.kind === "measured" ? row.model : "")); }

  values(row, { sequence = this.sequence, letter = this.letter } = {}) {
    const record = row.records[sequence];
    return (record && record.frames[letter]) || [];
  }

  // value of a method at a frame, in thousandths; undefined where it has none
  valueAt(row, frame, choice) {
    return this.values(row, choice)[this.board.sequences[this.sequence].at.indexOf(frame)];
  }

  // show a sequence, at a frame or at the middle, with methods `a` and `b` when they are given
  open({ sequence = this.sequence, frame, a, b } = {}) {
    this.form.sequence.value = sequence;
    if (b !== undefined) this.form.b.value = b;
    if (a !== undefined && a !== Number(this.form.a.value)) {
      if (a === Number(this.form.b.value)) this.form.b.value = this.form.a.value;
      this.form.a.value = a;
    }
    const { frames, at } = this.board.sequences[sequence];
    const pictures = picturesOf(this.board, sequence);
    const stops = at.length ? at : pictures ? [...pictures.indices] : Array.from({ length: frames }, (_, i) => i);
    const others = this.board.rows.filter((row) => !this.rows.includes(row) && row.kind === "measured");
    const [first, second] = this.rows;
    this.timeline.draw(frames, at, [
      ...others.map((row) => ({ values: this.values(row), name: "other" })),
      { values: this.values(second), name: "of-b" },
      { values: this.values(first), name: "of-a" },
    ], stops);
    this.timeline.drawFilm(pictures);
    this.root.querySelector(".versus").textContent = this.versus();
    const wanted = frame ?? this.frame ?? stops[stops.length >> 1];
    const same = stops.reduce((best, stop) => (Math.abs(stop - wanted) < Math.abs(best - wanted) ? stop : best), stops[0]);
    this.show(frame === undefined && sequence !== this.opened ? stops[stops.length >> 1] : same);
    if (this.opened !== undefined) this.list();
    this.opened = sequence;
  }

  async show(frame) {
    this.frame = frame;
    const [first, second] = this.rows;
    const pictures = picturesOf(this.board, this.sequence);
    const name = pictures ? pictures.names[frame] : String(frame);
    const text = [first, second].map((row) => `${row.name} ${percent(this.valueAt(row, frame))}`).join(", ");
    this.timeline.show(frame, `frame ${name}${this.letter ? `, ${this.letter}: ${text}` : ""}`);
    this.root.querySelector(".permalink").href = linkTo(this);
    this.root.querySelector(".stage").hidden = !pictures;
    if (!pictures) {
      if (canUnpack) this.tell(this.board.source, picturesElsewhere());
      else this.tell("This browser is too old to show the pictures.");
      return;
    }
    const position = nearest(pictures, frame);
    const away = pictures.indices[position] !== frame;
    this.tell(away ? `The nearest picture, frame ${pictures.names[pictures.indices[position]]}, is shown.` : "");
    const loaded = await loadFrame(this.board, this.sequence, position, this.models);
    // a faster move may have come in between
    if (this.frame === frame && this.rows[0] === first && this.rows[1] === second) this.draw(loaded, frame);
  }

  draw(loaded, frame) {
    const difference = this.form.view.value === "difference";
    this.figures.difference.hidden = !difference;
    this.root.querySelector(".stage").classList.toggle("difference", difference);
    this.drawSide("a", loaded, 0, frame);
    this.drawSide("b", loaded, 1, frame);
    if (difference) this.drawBoth(loaded);
  }

  caption(side, alt, ...parts) {
    this.figures[side].querySelector("figcaption").replaceChildren(...parts);
    this.figures[side].querySelector("canvas").setAttribute("aria-label", alt);
  }

  drawSide(side, loaded, i, frame) {
    const row = this.rows[i];
    const mask = loaded.masks[i];
    drawMask(this.figures[side].querySelector("canvas"), loaded, mask, this.board, COLOURS[side], this.form.truth.checked);
    const values = this.letters.map((letter) => `${letter} ${percent(this.valueAt(row, frame, { letter }))}`);
    const told = `${values.join(", ")}${mask ? "" : "; no masks were kept"}`;
    this.caption(side, `Mask of ${row.name} on ${this.sequence}, ${told}`, swatch(side, row.name), ` ${told}`);
  }

  drawBoth(loaded) {
    const canvas = this.figures.difference.querySelector("canvas");
    const [first, second] = this.rows;
    if (loaded.masks.includes(null)) {
      drawMask(canvas, loaded, null, this.board, COLOURS.a, this.form.truth.checked);
      this.caption("difference", "The frame", "Masks of both methods are needed to compare them.");
      return;
    }
    const counts = drawDifference(canvas, loaded, this.board, this.form.truth.checked);
    const part = (number) => `${((100 * number) / (loaded.width * loaded.height)).toFixed(1)} %`;
    const differing = counts.a + counts.b;
    const right = loaded.truth && differing
      ? ` Where they differ, ${first.name} is right on ${Math.round((100 * counts.right) / differing)} % of the pixels.` : "";
    const [onlyFirst, onlySecond] = [part(counts.a), part(counts.b)];
    this.caption("difference", `Only ${first.name}: ${onlyFirst} of the picture; only ${second.name}: ${onlySecond}.${right}`,
      swatch("a", `only ${first.name}`), ` ${onlyFirst} `, swatch("b", `only ${second.name}`), ` ${onlySecond} of the picture.${right}`);
  }

  // on how many sequences each of the two is ahead, by the mean over their frames
  versus() {
    const [first, second] = this.rows;
    const mean = (values) => values.reduce((sum, value) => sum + (value ?? 0), 0) / values.filter((value) => value !== null).length;
    const differences = Object.keys(this.board.sequences)
      .map((sequence) => mean(this.values(first, { sequence })) - mean(this.values(second, { sequence })))
      .filter((difference) => !Number.isNaN(difference));
    if (first === second || !differences.length) return "";
    const ahead = differences.filter((difference) => difference > 0).length;
    const behind = differences.filter((difference) => difference < 0).length;
    return `By ${this.letter}, ${first.name} is ahead on ${ahead} and ${second.name} on ${behind} of ${differences.length} sequences.`;
  }

  tell(text, ...more) {
    const line = this.root.querySelector(".problem");
    line.replaceChildren(text, ...more);
    line.hidden = !text;
  }

  // the frames that a method does worst on, or on which two differ most, without their neighbours
  worst() {
    const [first, second] = this.rows;
    const order = this.form.order.value;
    const score = { a: (a) => a, b: (_, b) => b, difference: (a, b) => (a == null || b == null ? null : -Math.abs(a - b)) }[order];
    const sequences = this.form.scope.value === "one" ? [this.sequence] : Object.keys(this.board.sequences);
    const found = sequences.flatMap((sequence) => {
      const [of, and] = [this.values(first, { sequence }), this.values(second, { sequence })];
      return this.board.sequences[sequence].at.map((frame, i) => ({ sequence, frame, a: of[i], b: and[i], score: score(of[i], and[i]) }));
    }).filter((item) => item.score !== null && item.score !== undefined);
    found.sort((x, y) => x.score - y.score);
    const apart = (item) => APART * this.board.sequences[item.sequence].frames;
    const near = (item, other) => other.sequence === item.sequence && Math.abs(other.frame - item.frame) < apart(item);
    const chosen = [];
    for (const item of found) {
      if (chosen.length === WORST) break;
      if (!chosen.some((other) => near(item, other))) chosen.push(item);
    }
    return chosen;
  }

  list() {
    this.root.querySelector(".worst").hidden = !this.letters.length;
    const items = this.letters.length ? this.worst() : [];
    this.root.querySelector(".frames").replaceChildren(...items.map((item) => element("li", {}, this.tile(item))));
  }

  tile(item) {
    const order = this.form.order.value;
    const pictures = picturesOf(this.board, item.sequence);
    const name = pictures ? pictures.names[item.frame] : item.frame;
    const value = order === "difference" ? `${percent(item.a)} and ${percent(item.b)}` : percent(item[order]);
    const tile = element("button", { type: "button" });
    if (pictures) {
      const canvas = element("canvas");
      tile.append(canvas);
      this.drawTile(canvas, item, nearest(pictures, item.frame));
    }
    tile.append(element("span", { textContent: `${item.sequence} ${name}` }), element("span", { textContent: `${this.letter} ${value}` }));
    tile.addEventListener("click", () => {
      this.open({ sequence: item.sequence, frame: item.frame });
      this.timeline.track.focus({ preventScroll: true });
      this.root.scrollIntoView({ block: "start" });
    });
    return tile;
  }

  async drawTile(canvas, item, position) {
    const frame = await loadFrame(this.board, item.sequence, position, this.models);
    const order = this.form.order.value;
    if (order === "difference" && !frame.masks.includes(null)) drawDifference(canvas, frame, this.board, true);
    else drawMask(canvas, frame, frame.masks[order === "b" ? 1 : 0], this.board, COLOURS[order === "b" ? "b" : "a"], true);
  }
}

// a link to the first board that has pictures, when this page has some
const picturesElsewhere = () => {
  const place = data.boards.findIndex((board) => Object.keys(board.sequences).some((sequence) => picturesOf(board, sequence)));
  if (place < 0) return "";
  const section = document.querySelector(`section[data-board="${place}"]`);
  return element("a", { href: `#${encodeURIComponent(section.id)}`, textContent: `${data.boards[place].title} has pictures.` });
};

const explorers = new Map();

const explorerOf = (root) => {
  if (!explorers.has(root)) explorers.set(root, new Explorer(root));
  return explorers.get(root);
};

const jumpTo = (section, choice) => {
  const root = section.querySelector(".explorer");
  root.open = true;
  explorerOf(root).open(choice);
  root.scrollIntoView({ block: "start" });
  root.querySelector(".track").focus({ preventScroll: true });
};
