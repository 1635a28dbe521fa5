// Masks: runs of ids inside zlib streams, see report/mask_runs.py.
const inflate = async (base64) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

// the maps of one sequence, kept as runs: expanded they would fill the memory of a phone
class Reel {
  constructor(runs, pixels, positions) {
    this.runs = runs;
    this.pixels = pixels;
    this.offsets = new Map();
    let at = 0;
    for (const position of positions) {
      this.offsets.set(position, at);
      at = this.walk(at, () => {});
    }
  }

  walk(start, take) {
    let at = start;
    for (let filled = 0; filled < this.pixels; ) {
      const id = this.runs[at++];
      let length = 0;
      let byte = 0;
      let scale = 1;
      do {
        byte = this.runs[at++];
        length += (byte % 128) * scale;
        scale *= 128;
      } while (byte >= 128);
      take(id, filled, filled + length);
      filled += length;
    }
    return at;
  }

  map(position) {
    if (!this.offsets.has(position)) return null;
    const ids = new Uint8Array(this.pixels);
    this.walk(this.offsets.get(position), (id, from, to) => ids.fill(id, from, to));
    return ids;
  }
}

const reels = new Map();

const openReel = (key, runs, pixels, positions) => {
  if (!reels.has(key)) reels.set(key, inflate(runs).then((bytes) => new Reel(bytes, pixels, positions)));
  return reels.get(key);
};

const images = new Map();

const openImage = (key, base64) => {
  if (!images.has(key)) {
    const image = element("img", { src: `data:image/webp;base64,${base64}` });
    images.set(key, image.decode().then(() => image));
  }
  return images.get(key);
};

const canUnpack = "DecompressionStream" in window;

// pictures of a board's sequence; undefined when there are none to show
const picturesOf = (board, sequence) => (canUnpack ? (data.pictures[board.label] || {})[sequence] : undefined);

// position of the picture nearest to a frame
const nearest = (pictures, frame) => {
  let best = 0;
  pictures.indices.forEach((index, position) => {
    if (Math.abs(index - frame) < Math.abs(pictures.indices[best] - frame)) best = position;
  });
  return best;
};

const loadFrame = async (board, sequence, position, models) => {
  const pictures = picturesOf(board, sequence);
  const pixels = pictures.width * pictures.height;
  const key = `${board.label}/${sequence}`;
  const maskOf = async (model) => {
    if (!(model in pictures.masks)) return null;
    const reel = await openReel(`${key}/mask/${model}`, pictures.masks[model], pixels, pictures.indices.keys());
    return reel.map(position);
  };
  const truthOf = async () => {
    if (!pictures.truth.at.length) return null;
    return (await openReel(`${key}/truth`, pictures.truth.runs, pixels, pictures.truth.at)).map(position);
  };
  const [image, truth, ...masks] = await Promise.all([
    openImage(`${key}/${position}`, pictures.images[position]), truthOf(), ...models.map(maskOf),
  ]);
  return { image, truth, masks, width: pictures.width, height: pictures.height };
};

const COLOURS = { a: [255, 140, 40], b: [60, 180, 255], both: [255, 255, 255], line: [255, 255, 255] };
const VOID = 255;

// whether each id of a map belongs to an object; the void of the ground truth is one under some protocols
const isObject = (board) => (id) => id !== 0 && (id !== VOID || board.void === "foreground");

// further objects in colours of their own, a golden angle apart on the circle of hues
const colourOfId = (id) => {
  const hue = (id * 137.5) % 360;
  return [0, 240, 120].map((shift) => Math.round(150 + 105 * Math.cos(((hue + shift) * Math.PI) / 180)));
};

const paint = (pixels, place, [red, green, blue], alpha) => pixels.set([red, green, blue, alpha], 4 * place);

// pixels of an object with a neighbour (of four) that is of another
const outline = (ids, width, take) => {
  for (let place = 0; place < ids.length; place++) {
    const x = place % width;
    const id = ids[place];
    if (!id) continue;
    const inside = (x === 0 || ids[place - 1] === id) && (x === width - 1 || ids[place + 1] === id);
    const upright = (ids[place - width] ?? id) === id && (ids[place + width] ?? id) === id;
    if (!inside || !upright) take(place);
  }
};

// draw a frame with a layer of its own size over it, both scaled to the canvas
const compose = (canvas, frame, wash, fill) => {
  canvas.width = 2 * frame.width;
  canvas.height = 2 * frame.height;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(frame.image, 0, 0, canvas.width, canvas.height);
  if (wash) {
    context.fillStyle = `rgba(0, 0, 0, ${wash})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  const layer = element("canvas", { width: frame.width, height: frame.height });
  const inner = layer.getContext("2d");
  const picture = inner.createImageData(frame.width, frame.height);
  fill(picture.data);
  inner.putImageData(picture, 0, 0);
  context.drawImage(layer, 0, 0, canvas.width, canvas.height);
};

const drawTruth = (pixels, frame, board) => {
  if (!frame.truth) return;
  const object = isObject(board);
  const ids = frame.truth.map((id) => (object(id) ? id : 0));
  outline(ids, frame.width, (place) => paint(pixels, place, COLOURS.line, 255));
};

// a method's mask over the frame
const drawMask = (canvas, frame, mask, board, colour, withTruth) => {
  compose(canvas, frame, 0, (pixels) => {
    if (mask) {
      const of = (id) => (board.union || id === 1 ? colour : colourOfId(id));
      mask.forEach((id, place) => id && paint(pixels, place, of(id), 115));
      outline(mask, frame.width, (place) => paint(pixels, place, of(mask[place]), 255));
    }
    if (withTruth) drawTruth(pixels, frame, board);
  });
};

// where one method sees an object and the other does not; returns what there is to say about it
const drawDifference = (canvas, frame, board, withTruth) => {
  const [first, second] = frame.masks;
  const object = isObject(board);
  const counts = { a: 0, b: 0, right: 0 };
  compose(canvas, frame, 0.45, (pixels) => {
    first.forEach((id, place) => {
      const [inFirst, inSecond] = [id !== 0, second[place] !== 0];
      if (inFirst && inSecond) paint(pixels, place, COLOURS.both, 90);
      if (inFirst === inSecond) return;
      const side = inFirst ? "a" : "b";
      counts[side] += 1;
      if (frame.truth && object(frame.truth[place]) === inFirst) counts.right += 1;
      paint(pixels, place, COLOURS[side], 215);
    });
    if (withTruth) drawTruth(pixels, frame, board);
  });
  return counts;
};
