// How the map looks: sources, layers, colours. Everything comes from this server.

export const FONT = '"Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", system-ui, sans-serif';

const INK = "#24343b", PAPER = "#f5f2ea", LAND = "#fdfcf8";
const BORDERS = {
  city: { color: "#1d4b50", width: [8, 2.5, 14, 4], from: 0 },
  counties: { color: "#2f6a70", width: [8, 1.4, 14, 3], from: 0 },
  townships: { color: "#6f979b", width: [9, 0.7, 14, 2], from: 8.8 },
  communities: { color: "#94b0b2", width: [11, 0.6, 15, 1.6], from: 10.8 },
  grids: { color: "#a9b9ba", width: [12, 0.5, 16, 1.6], from: 11.8 },
  micro_grids: { color: "#c3cdcd", width: [14, 0.4, 17, 1.2], from: 14 },
};
// Names show from where their areas are large enough, until those of the level below take over.
const NAMES = {
  counties: { from: 0, to: 11, size: 17, bold: true },
  townships: { from: 10, to: 13, size: 14, bold: true },
  communities: { from: 12.8, to: 15.2, size: 13, bold: false },
  grids: { from: 14.8, to: 24, size: 13, bold: false },
};

/** The zoom facilities show from. */
export const PLACES_FROM = 13.5;

/** The levels a switch can turn off, largest first, and the zoom they show from. */
export const LEVELS = Object.entries(BORDERS).map(([name, { from }]) => ({ name, from }));

export const RING_COLOURS = ["#0b5d63", "#3f9296", "#9fcfcb"];
export const SEVERITY_COLOURS = { error: "#c22f2f", warning: "#c77700", note: "#5b6b75" };

/** A MapLibre style for a city as the service describes it. */
export function build(city) {
  const published = new Map(city.layers.map((layer) => [layer.id, layer]));
  const levels = LEVELS.map(({ name }) => name).filter((name) => published.has(name));
  return {
    version: 8,
    glyphs: "local-glyphs://{fontstack}/{range}",
    sources: { ...tileSources(city, published, levels), ...answerSources() },
    layers: [
      { id: "paper", type: "background", paint: { "background-color": PAPER } },
      ...land(levels),
      ...(city.streets ? streets() : []),
      ...rings(),
      ...levels.toReversed().map(border),
      ...selection(),
      ...places(),
      ...levels.filter((name) => NAMES[name]).map(names),
      ...drawing(),
      ...faults(),
    ],
  };
}

/** The address of a layer's tiles at a revision. */
export const tiles = (name, revision) => `${location.origin}/collections/${name}/tiles/{z}/{x}/{y}?revision=${revision}`;

function tileSources(city, published, levels) {
  const source = (name, revision) => ({
    type: "vector",
    tiles: [tiles(name, revision)],
    minzoom: 4,
    maxzoom: 16,
    bounds: city.bounds,
    promoteId: "code",
  });
  const sources = Object.fromEntries(levels.map((name) => [name, source(name, published.get(name).revision)]));
  if (city.streets) sources.streets = source("streets", city.streets);
  return sources;
}

const EMPTY = { type: "FeatureCollection", features: [] };

function answerSources() {
  const names = ["selected", "rings", "faults", "fault_chosen", "facilities", "draft", "draft_labels", "draft_corners", "sketch"];
  return Object.fromEntries(names.map((name) => [name, { type: "geojson", data: EMPTY }]));
}

function land(levels) {
  const name = ["city", "counties", "townships", "communities", "grids"].find((level) => levels.includes(level));
  if (!name) return [];
  return [{ id: "land", type: "fill", source: name, "source-layer": name, paint: { "fill-color": LAND } }];
}

function streets() {
  const width = ["interpolate", ["exponential", 1.5], ["zoom"], 11, 0.4, 13, 1, 17, 3.5];
  return [{
    id: "streets", type: "line", source: "streets", "source-layer": "streets", minzoom: 10.8,
    layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": "#e3ddcf", "line-width": width },
  }];
}

function border(name) {
  const { color, width, from } = BORDERS[name];
  return {
    id: `border-${name}`, type: "line", source: name, "source-layer": name, minzoom: from,
    layout: { "line-join": "round" },
    paint: { "line-color": color, "line-width": ["interpolate", ["linear"], ["zoom"], ...width] },
  };
}

function names(name) {
  const { from, to, size, bold } = NAMES[name];
  return {
    id: `name-${name}`, type: "symbol", source: name, "source-layer": `${name}_names`, minzoom: from, maxzoom: to,
    layout: {
      "text-field": ["get", "name"], "text-font": [bold ? "bold" : "regular"], "text-size": size,
      "text-max-width": 9, "text-padding": 6,
    },
    paint: { "text-color": INK, "text-halo-color": "#ffffff", "text-halo-width": 1.6 },
  };
}

function rings() {
  const colour = ["match", ["get", "place"], 0, RING_COLOURS[0], 1, RING_COLOURS[1], RING_COLOURS[2]];
  return [
    { id: "rings", type: "fill", source: "rings", paint: { "fill-color": colour, "fill-opacity": 0.42 } },
    { id: "rings-line", type: "line", source: "rings", paint: { "line-color": RING_COLOURS[0], "line-width": 1.2, "line-opacity": 0.7 } },
  ];
}

function selection() {
  return [
    { id: "selected", type: "fill", source: "selected", paint: { "fill-color": "#f2b134", "fill-opacity": ["case", ["to-boolean", ["get", "outline"]], 0, 0.3] } },
    { id: "selected-line", type: "line", source: "selected", layout: { "line-join": "round" }, paint: { "line-color": "#b06d00", "line-width": 3 } },
  ];
}

/** A draft: its grids, marked where they hold too few or too many, and what is being sketched. */
function drawing() {
  const bySize = (few, many, right) => ["match", ["get", "size"], "few", few, "many", many, right];
  const chosen = ["get", "chosen"];
  const width = ["interpolate", ["linear"], ["zoom"], 11, 1.2, 16, 3];
  return [
    { id: "draft", type: "fill", source: "draft", paint: { "fill-color": ["case", chosen, "#f2b134", bySize("#7a5bb0", "#c22f2f", "#0b5d63")], "fill-opacity": ["case", chosen, 0.38, bySize(0.14, 0.14, 0.05)] } },
    { id: "draft-line", type: "line", source: "draft", layout: { "line-join": "round" }, paint: { "line-color": "#0b5d63", "line-width": width } },
    { id: "draft-chosen", type: "line", source: "draft", filter: chosen, layout: { "line-join": "round" }, paint: { "line-color": "#b06d00", "line-width": 4 } },
    {
      id: "draft-names", type: "symbol", source: "draft_labels", minzoom: 11.5,
      layout: { "text-field": ["get", "text"], "text-font": ["bold"], "text-size": 13, "text-padding": 3 },
      paint: { "text-color": INK, "text-halo-color": "#ffffff", "text-halo-width": 1.8 },
    },
    { id: "draft-corners", type: "circle", source: "draft_corners", paint: { "circle-radius": ["interpolate", ["linear"], ["zoom"], 12, 2, 15, 5], "circle-color": "#ffffff", "circle-stroke-color": "#0b5d63", "circle-stroke-width": 2 } },
    { id: "sketch-line", type: "line", source: "sketch", layout: { "line-cap": "round" }, paint: { "line-color": "#a82626", "line-width": 3, "line-dasharray": [2, 1.5] } },
    { id: "sketch-points", type: "circle", source: "sketch", filter: ["==", ["geometry-type"], "Point"], paint: { "circle-radius": 6, "circle-color": "#a82626", "circle-stroke-color": "#ffffff", "circle-stroke-width": 2 } },
  ];
}

function faults() {
  const colour = ["match", ["get", "severity"], "error", SEVERITY_COLOURS.error, "warning", SEVERITY_COLOURS.warning, SEVERITY_COLOURS.note];
  const shape = (kind) => ["==", ["geometry-type"], kind];
  return [
    { id: "faults-fill", type: "fill", source: "faults", filter: shape("Polygon"), paint: { "fill-color": colour, "fill-opacity": 0.5 } },
    { id: "faults-line", type: "line", source: "faults", filter: ["!", shape("Point")], paint: { "line-color": colour, "line-width": 2.5 } },
    // A fault of a few centimetres is still seen from afar.
    { id: "faults-dot", type: "circle", source: "faults", filter: shape("Point"), paint: { "circle-color": colour, "circle-radius": ["interpolate", ["linear"], ["zoom"], 8, 3.5, 15, 7], "circle-stroke-color": "#ffffff", "circle-stroke-width": 1.5 } },
    { id: "faults-chosen", type: "circle", source: "fault_chosen", paint: { "circle-radius": 16, "circle-opacity": 0, "circle-stroke-color": SEVERITY_COLOURS.error, "circle-stroke-width": 3 } },
  ];
}

function places() {
  const radius = ["interpolate", ["linear"], ["zoom"], 8, 2.5, 15, 7];
  const dots = (id, more) => ({
    id, type: "circle", source: "facilities", ...more,
    paint: { "circle-color": "#4a5a8a", "circle-radius": radius, "circle-stroke-color": "#ffffff", "circle-stroke-width": 1.5 },
  });
  // A city has thousands of all kinds: they show close by. Those a plan is about show from afar.
  return [dots("facilities", { minzoom: PLACES_FROM }), dots("existing", { filter: ["==", ["get", "kind"], ""] })];
}

/** Which style layers a switch turns on and off. */
export const SWITCHES = {
  ...Object.fromEntries(LEVELS.map(({ name }) => [name, [`border-${name}`, `name-${name}`]])),
  streets: ["streets"],
  faults: ["faults-fill", "faults-line", "faults-dot", "faults-chosen"],
  facilities: ["facilities"],
};
