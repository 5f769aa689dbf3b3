// A draft on the map: its grids as lines, their households, what is chosen, what is being sketched.

import { count, say } from "../words.js";
import { labelPlace, nearestOnLine, nearestVertex, rings } from "./shapes.js";

const MARKS = { few: "▼", many: "▲", right: "" };
const NEAR_PX = 14;

export function drawingMap(map) {
  /** Show grids with their households; `sizes` says which hold too few or too many. */
  function show(grids, { sizes = new Map(), chosen = new Set(), within = null } = {}) {
    const features = [...grids.values()].filter(({ geometry }) => geometry);
    map.hideWithin("grids", within);
    map.put("draft", collected(features.map(({ id, geometry }) => ({
      type: "Feature", geometry, properties: { size: sizes.get(id) ?? "right", chosen: chosen.has(id) },
    }))));
    map.put("draft_labels", collected(features.map((feature) => ({
      type: "Feature", properties: { text: label(feature, sizes.get(feature.id)) },
      geometry: { type: "Point", coordinates: labelPlace(feature.geometry) },
    }))));
  }

  function clear() {
    map.hideWithin("grids", undefined);
    for (const source of ["draft", "draft_labels", "draft_corners", "sketch"]) map.put(source, null);
  }

  /** Show the corners that can be moved. */
  function corners(lines) {
    const places = [...new Map(lines.flat().map((place) => [String(place), place])).values()];
    map.put("draft_corners", places.length ? point(places) : null);
  }

  /** Show lines and points that are being drawn. */
  function sketch(lines, points = []) {
    map.put("sketch", collected([
      ...lines.filter((line) => line.length > 1).map((line) => feature("LineString", line)),
      ...(points.length ? [point(points)] : []),
    ]));
  }

  const near = { pixel: map.pixel, within: NEAR_PX };
  return {
    show, clear, corners, sketch,
    corner: (lines, at) => nearestVertex(lines, at, near),
    border: (lines, at) => nearestOnLine(lines, at, near),
    street: (at) => nearestOnLine(map.linesNear("streets", at, NEAR_PX), at, near)?.place ?? null,
  };
}

/** All borders of some grids as lines. */
export const borders = (grids) => [...grids.values()].filter(({ geometry }) => geometry).flatMap(({ geometry }) => rings(geometry));

/** A grid's name with its households, marked where they are too few or too many. */
function label({ id, properties }, size) {
  const lines = [properties.name || id];
  if (known(properties.households)) lines.push(`${MARKS[size] ?? ""} ${say("label_households", { count: count(properties.households) })}`.trim());
  return lines.join("\n");
}

export const mark = (size) => MARKS[size] ?? "";
const known = (value) => value !== null && value !== undefined;
const collected = (features) => ({ type: "FeatureCollection", features });
const feature = (type, coordinates) => ({ type: "Feature", properties: {}, geometry: { type, coordinates } });
const point = (places) => feature("MultiPoint", places);
