// Letters for map labels, drawn in the browser: no glyph server, no font files.
//
// MapLibre draws Chinese characters itself (localIdeographFontFamily) but asks a server for digits
// and Latin letters, as signed distance fields in a protobuf. This answers those requests, under the
// address local-glyphs://{fontstack}/{range}, from what the browser's own fonts look like.

const SIZE = 24, BORDER = 3, RADIUS = 8, CUTOFF = 0.25;
const BASELINE = 27; // MapLibre counts a glyph's top from 27 pixels above its baseline
const FAR = 1e20;

/** Let MapLibre find its letters here. */
export function install(maplibre, family) {
  maplibre.addProtocol("local-glyphs", async ({ url }) => {
    const [stack, range] = url.replace("local-glyphs://", "").split("/");
    return { data: glyphRange(decodeURIComponent(stack), range, family).buffer };
  });
}

/** The protobuf of a range such as "0-255". */
export function glyphRange(stack, range, family) {
  const [first, last] = range.split("-").map(Number);
  const pen = makePen(/bold/i.test(stack) ? `600 ${SIZE}px ${family}` : `${SIZE}px ${family}`);
  const glyphs = [];
  for (let id = Math.max(first, 32); id <= last; id++) {
    if (id >= 127 && id < 160) continue; // control characters
    glyphs.push(field(3, glyphMessage(id, pen)));
  }
  return field(1, concat([text(1, stack), text(2, range), ...glyphs]));
}

function makePen(font) {
  const side = SIZE * 2 + 2 * BORDER;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.font = font;
  context.textBaseline = "alphabetic";
  return context;
}

function glyphMessage(id, pen) {
  const letter = String.fromCodePoint(id);
  const seen = pen.measureText(letter);
  const left = Math.floor(-seen.actualBoundingBoxLeft);
  const top = Math.ceil(seen.actualBoundingBoxAscent);
  const width = Math.max(0, Math.ceil(seen.actualBoundingBoxRight) - left);
  const height = Math.max(0, top + Math.ceil(seen.actualBoundingBoxDescent));
  const parts = [number(1, id)];
  if (width && height) {
    const w = width + 2 * BORDER, h = height + 2 * BORDER;
    pen.clearRect(0, 0, pen.canvas.width, pen.canvas.height);
    pen.fillText(letter, BORDER - left, BORDER + top);
    parts.push(field(2, distances(pen.getImageData(0, 0, w, h).data, w, h)));
  }
  parts.push(number(3, width), number(4, height));
  parts.push(number(5, zigzag(left)), number(6, zigzag(top - BASELINE)));
  parts.push(number(7, Math.round(seen.width)));
  return concat(parts);
}

/** Signed distance to the letter's edge, 192 on it: Felzenszwalb and Huttenlocher 2012. */
function distances(pixels, w, h) {
  const outside = new Float64Array(w * h), inside = new Float64Array(w * h);
  for (let i = 0; i < w * h; i++) {
    const ink = pixels[4 * i + 3] / 255;
    outside[i] = ink === 1 ? 0 : ink === 0 ? FAR : Math.max(0, 0.5 - ink) ** 2;
    inside[i] = ink === 1 ? FAR : ink === 0 ? 0 : Math.max(0, ink - 0.5) ** 2;
  }
  transform(outside, w, h);
  transform(inside, w, h);
  return Uint8Array.from(outside, (value, i) => {
    const distance = Math.sqrt(value) - Math.sqrt(inside[i]);
    return Math.min(255, Math.max(0, Math.round(255 - 255 * (distance / RADIUS + CUTOFF))));
  });
}

function transform(grid, w, h) {
  for (let x = 0; x < w; x++) transformLine(grid, x, w, h);
  for (let y = 0; y < h; y++) transformLine(grid, y * w, 1, w);
}

/** The lower envelope of parabolas along one row or column. */
function transformLine(grid, offset, stride, length) {
  const value = new Float64Array(length), at = new Int32Array(length);
  const from = new Float64Array(length + 1);
  for (let q = 0; q < length; q++) value[q] = grid[offset + q * stride];
  let k = 0;
  from[0] = -FAR;
  from[1] = FAR;
  for (let q = 1; q < length; q++) {
    const meets = (p) => (value[q] - value[p] + q * q - p * p) / (2 * (q - p));
    let s = meets(at[k]);
    while (k > 0 && s <= from[k]) s = meets(at[--k]);
    k += 1;
    at[k] = q;
    from[k] = s;
    from[k + 1] = FAR;
  }
  k = 0;
  for (let q = 0; q < length; q++) {
    while (from[k + 1] < q) k++;
    grid[offset + q * stride] = value[at[k]] + (q - at[k]) ** 2;
  }
}

const zigzag = (value) => (value << 1) ^ (value >> 31);

function varint(value) {
  const bytes = [];
  let rest = value >>> 0;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}

const number = (tag, value) => Uint8Array.from([...varint(tag << 3), ...varint(value)]);
const field = (tag, data) => concat([[...varint((tag << 3) | 2), ...varint(data.length)], data]);
const text = (tag, value) => field(tag, new TextEncoder().encode(value));

function concat(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
