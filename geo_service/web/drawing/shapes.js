// Plain geometry of the grids on the page: which one is here, where its label stands, what is near.

/** All rings of a GeoJSON polygon or multipolygon. */
export function rings({ type, coordinates }) {
  return type === "MultiPolygon" ? coordinates.flat() : coordinates;
}

/** Whether a place lies in a polygon: even-odd over all its rings, so holes are outside. */
export function holds(geometry, [x, y]) {
  let inside = false;
  for (const ring of rings(geometry)) {
    for (let i = 1; i < ring.length; i++) {
      const [ax, ay] = ring[i - 1], [bx, by] = ring[i];
      if ((ay > y) !== (by > y) && x < ax + ((bx - ax) * (y - ay)) / (by - ay)) inside = !inside;
    }
  }
  return inside;
}

/** A place well inside a polygon: the middle of its widest stretch at the height of its middle. */
export function labelPlace(geometry) {
  const heights = rings(geometry).flat().map(([, y]) => y);
  const y = (Math.min(...heights) + Math.max(...heights)) / 2;
  const crossings = rings(geometry).flatMap((ring) => crossingsAt(ring, y)).toSorted((a, b) => a - b);
  let place = rings(geometry)[0][0], widest = -1;
  for (let i = 1; i < crossings.length; i += 2) {
    const [from, to] = [crossings[i - 1], crossings[i]];
    if (to - from > widest) [widest, place] = [to - from, [(from + to) / 2, y]];
  }
  return place;
}

function crossingsAt(ring, y) {
  const found = [];
  for (let i = 1; i < ring.length; i++) {
    const [ax, ay] = ring[i - 1], [bx, by] = ring[i];
    if ((ay > y) !== (by > y)) found.push(ax + ((bx - ax) * (y - ay)) / (by - ay));
  }
  return found;
}

/** The vertex of some lines that is nearest on the screen, if within so many pixels. */
export function nearestVertex(lines, at, { pixel, within }) {
  const [px, py] = pixel(at);
  let best = null, least = within;
  for (const line of lines) {
    for (const place of line) {
      const [x, y] = pixel(place), away = Math.hypot(x - px, y - py);
      if (away < least) [best, least] = [place, away];
    }
  }
  return best;
}

/** The place on some lines that is nearest on the screen, with the piece it lies on. */
export function nearestOnLine(lines, at, { pixel, within }) {
  const here = pixel(at);
  let best = null, least = within;
  for (const line of lines) {
    for (let i = 1; i < line.length; i++) {
      const [a, b] = [line[i - 1], line[i]];
      const share = shareAlong(pixel(a), pixel(b), here);
      const place = between(a, b, share);
      const [x, y] = pixel(place), away = Math.hypot(x - here[0], y - here[1]);
      if (away < least) [best, least] = [{ place, ends: [a, b] }, away];
    }
  }
  return best;
}

function shareAlong([ax, ay], [bx, by], [x, y]) {
  const [dx, dy] = [bx - ax, by - ay], length = dx * dx + dy * dy;
  return length ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length)) : 0;
}

const between = (a, b, share) => [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])];

/** The borders as they would run if some corners moved: each with the corners beside it. */
export function withMoved(lines, moves) {
  const moved = new Map(moves.map(([from, to]) => [String(from), to]));
  const pieces = [];
  for (const line of lines) {
    for (let i = 1; i < line.length; i++) {
      const ends = [line[i - 1], line[i]];
      if (ends.some((end) => moved.has(String(end)))) pieces.push(ends.map((end) => moved.get(String(end)) ?? end));
    }
  }
  return pieces;
}

/** A line made longer by so many metres at both ends: a cut that ends on a border crosses it. */
export function longer(line, metres) {
  return [extended(line[1], line[0], metres), ...line.slice(1, -1), extended(line.at(-2), line.at(-1), metres)];
}

const METRES_A_DEGREE = 111_320;

function extended([ax, ay], [bx, by], metres) {
  const shrink = Math.cos((by * Math.PI) / 180);
  const length = Math.hypot((bx - ax) * shrink, by - ay) * METRES_A_DEGREE;
  if (!length) return [bx, by];
  return [bx + ((bx - ax) * metres) / length, by + ((by - ay) * metres) / length];
}

/** How many metres a pixel of the map is at a latitude. */
export const metresAPixel = (zoom, latitude) => (40_075_016.7 * Math.cos((latitude * Math.PI) / 180)) / (512 * 2 ** zoom);
