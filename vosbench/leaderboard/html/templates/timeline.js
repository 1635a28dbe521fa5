// The curve of every frame, with a cursor that the pointer and the arrow keys move.
const PAGE = 10;
const FILM = 12;

const runsOf = (values, at, frames) => {
  const runs = [[]];
  values.forEach((value, i) => {
    if (value === null) runs.push([]);
    else runs.at(-1).push(`${((1000 * at[i]) / Math.max(frames - 1, 1)).toFixed(1)},${(150 * (1 - clamp(value / 1000, 0, 1))).toFixed(1)}`);
  });
  return runs.filter((run) => run.length);
};

class Timeline {
  // `move` is called with the index of a frame
  constructor(root, move) {
    this.track = root.querySelector(".track");
    this.svg = root.querySelector("svg");
    this.cursor = root.querySelector(".cursor");
    this.film = root.querySelector(".film");
    this.output = root.querySelector("output");
    this.move = move;
    this.stops = [0];
    this.place = 0;
    this.track.addEventListener("keydown", (event) => this.press(event));
    this.track.addEventListener("pointermove", (event) => this.point(event));
    this.track.addEventListener("pointerdown", (event) => this.point(event));
  }

  // lines: [{values, name: class of the line}], last on top; stops: frames the cursor can stand on
  draw(frames, at, lines, stops) {
    this.frames = frames;
    this.stops = stops;
    const grid = drawing("path", { class: "grid", d: "M0 0H1000M0 37.5H1000M0 75H1000M0 112.5H1000M0 150H1000" });
    const groups = lines.map(({ values, name }) => {
      const group = drawing("g", { class: name });
      // a line of one point would not be drawn, twice the same point is a dot
      const points = runsOf(values, at, frames).map((run) => (run.length > 1 ? run : [...run, ...run]).join(" "));
      group.append(...points.map((text) => drawing("polyline", { points: text })));
      return group;
    });
    this.svg.replaceChildren(grid, ...groups);
    this.track.setAttribute("aria-valuemax", frames - 1);
  }

  drawFilm(pictures) {
    const indices = pictures ? pictures.indices : [];
    const shown = Math.min(indices.length, FILM);
    this.film.replaceChildren(...Array.from({ length: shown }, (_, i) => {
      const position = Math.round((i * (indices.length - 1)) / Math.max(shown - 1, 1));
      const title = `frame ${pictures.names[indices[position]]}`;
      const image = element("img", { alt: "", title, src: `data:image/webp;base64,${pictures.images[position]}` });
      image.addEventListener("click", () => this.move(indices[position]));
      return image;
    }));
  }

  show(frame, text) {
    this.place = this.stops.indexOf(frame);
    this.cursor.style.setProperty("--at", frame / Math.max(this.frames - 1, 1));
    this.track.setAttribute("aria-valuenow", frame);
    this.track.setAttribute("aria-valuetext", text);
    this.output.textContent = text;
  }

  go(place) {
    const wanted = clamp(place, 0, this.stops.length - 1);
    if (wanted !== this.place) this.move(this.stops[wanted]);
  }

  press(event) {
    const last = this.stops.length - 1;
    const places = { ArrowLeft: this.place - 1, ArrowDown: this.place - 1, ArrowRight: this.place + 1, ArrowUp: this.place + 1,
      PageDown: this.place - PAGE, PageUp: this.place + PAGE, Home: 0, End: last };
    if (!(event.key in places)) return;
    event.preventDefault();
    this.go(places[event.key]);
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const frame = ((event.clientX - box.left) / box.width) * (this.frames - 1);
    let best = 0;
    this.stops.forEach((stop, place) => {
      if (Math.abs(stop - frame) < Math.abs(this.stops[best] - frame)) best = place;
    });
    this.go(best);
  }
}
