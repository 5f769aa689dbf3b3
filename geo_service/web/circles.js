// "What does this neighbourhood lack?": the fifteen-minute life circle of a community or a grid.

import { bringUp, byId, el, fill } from "./dom.js";
import { RING_COLOURS } from "./mapstyle.js";
import { ask, latest, query } from "./service.js";
import { language, metres, say } from "./words.js";

const MINUTES = [5, 10, 15];

export function start(map, city) {
  const answer = byId("circles-answer"), units = byId("circles-unit");
  const turn = latest();
  const able = city.streets && city.facilities;
  let draw = () => fill(answer, !able && el("p", { className: "mind" }, say(city.streets ? "no_facilities" : "no_streets")));
  let place = null, told = null, markers = [], standing = null;

  async function at(where) {
    if (!where || !able) return;
    place = where;
    const current = turn();
    map.mark(where);
    clear();
    show(() => fill(answer, el("p", { className: "busy" }, say("working"))));
    try {
      const unit = await unitAt(where);
      if (!current()) return;
      if (!unit) return show(() => fill(answer, el("p", { className: "refused" }, say("not_found"))));
      const [found, shape, places] = await Promise.all([
        ask("/life-circles", { method: "POST", json: { layer: unit.layer, codes: [unit.code] } }),
        ask(`/collections/${unit.layer}/items/${encodeURIComponent(unit.code)}`).catch(() => null),
        facilities(),
      ]);
      const [{ lon, lat }] = found.centres;
      const rings = await ask(`/catchments?${query({ lon, lat, datum: "wgs84", minutes: MINUTES.join(","), profile: "adult" })}`).catch(() => null);
      if (current()) present(found, shape, rings, places);
    } catch (refused) {
      if (current()) show(() => fill(answer, el("p", { className: "refused", role: "alert" }, refused.sentence ?? String(refused))));
    }
  }

  /** The community or grid around a place, or nothing. */
  async function unitAt([lon, lat]) {
    const found = await ask(`/locate?${query({ lon: lon.toFixed(7), lat: lat.toFixed(7), datum: "wgs84" })}`);
    if (!found.found) return null;
    const { value } = units.querySelector("input:checked");
    const above = found.chain.find(({ level }) => level === "community");
    return value === "communities" && above ? { layer: value, code: above.code } : { layer: "grids", code: found.grid.code };
  }

  /** Where each facility stands, by its id; asked once. */
  function facilities() {
    standing ??= ask("/map/facilities")
      .then(({ features }) => new Map(features.map((one) => [one.properties.id, one.geometry.coordinates])))
      .catch(() => { standing = null; return new Map(); });
    return standing;
  }

  function present(found, shape, rings, places) {
    const features = (rings?.features ?? []).toSorted((a, b) => b.properties.minutes - a.properties.minutes);
    for (const feature of features) feature.properties.place = MINUTES.indexOf(feature.properties.minutes);
    map.put("selected", shape && { ...shape, properties: { outline: true } }); // the shades within stay clear
    map.put("rings", { type: "FeatureCollection", features });
    map.fit({ type: "FeatureCollection", features: [...features, ...(shape ? [shape] : [])] });
    told = { found, places };
    pin();
    show(() => fill(answer, card()));
  }

  /** Numbered markers on what is within reach, as the list below numbers them. */
  function pin() {
    clear();
    markers = reached().map((cell, i) => told.places.has(cell.nearest_id) && map.pin(told.places.get(cell.nearest_id), {
      className: "place", text: String(i + 1), label: named(cell), onclick: () => focus(i),
    })).filter(Boolean);
  }

  function clear() {
    for (const marker of markers) marker.remove();
    markers = [];
  }

  const reached = () => told.found.matrix.filter(({ status }) => status === "within");

  function focus(i) {
    byId(`reached-${i}`)?.scrollIntoView({ block: "nearest" });
    byId(`reached-${i}`)?.focus({ preventScroll: true });
  }

  function card() {
    const { found } = told;
    const [circle] = found.scores;
    const within = reached();
    return el("article", { className: "card" },
      el("h2", {}, circle.circle_name || circle.circle_code),
      el("p", { className: "code" }, circle.circle_code),
      el("p", {}, say("circles_score", { within: within.length, all: found.matrix.length, score: circle.score })),
      el("h3", {}, say("circles_missing", { count: found.missing.length })),
      found.missing.length
        ? el("ul", { className: "list circle", id: "circles-missing" }, found.missing.map((cell) => el("li", {}, lacking(cell))))
        : el("p", { className: "good" }, say("circles_complete")),
      found.unbuilt.length > 0 && el("h3", {}, say("circles_unbuilt", { count: found.unbuilt.length })),
      found.unbuilt.length > 0 && el("ul", { className: "list circle", id: "circles-unbuilt" }, found.unbuilt.map((one) =>
        el("li", {}, el("span", {}, el("strong", {}, one.name || one.id), el("span", { className: "line" }, kindOf(one)))))),
      within.length > 0 && el("h3", {}, say("circles_reached", { count: within.length })),
      within.length > 0 && el("ol", { className: "list circle", id: "circles-reached" }, within.map((cell, i) => el("li", {},
        el("button", { type: "button", className: "quiet", id: `reached-${i}`, onclick: () => visit(cell) },
          el("span", { className: "number place", ariaHidden: "true" }, String(i + 1)),
          el("span", {}, el("strong", {}, kindOf(cell)), el("span", { className: "line" }, walkTo(cell))))))),
      key(),
      found.notes.length > 0 && el("details", { className: "more" }, el("summary", {}, say("circles_notes", { count: found.notes.length })),
        found.notes.map((note) => el("p", { className: "quietly" }, note[language()]))));
  }

  /** A category that is missing: what the standard wants, and what is nearest. */
  function lacking(cell) {
    const lines = [
      el("strong", {}, kindOf(cell)),
      el("span", { className: "line" }, wanted(cell)),
      el("span", { className: "line" }, cell.nearest_id ? say("circles_nearest", { what: walkTo(cell) }) : say("circles_none")),
      cell.status === "missing_planned" && el("span", { className: "line good" }, say("circles_planned", { name: cell.planned_name || cell.planned_id })),
    ].filter(Boolean);
    if (!told.places.has(cell.nearest_id)) return el("span", { className: "lacking" }, lines);
    return el("button", { type: "button", className: "quiet", onclick: () => visit(cell) }, el("span", { className: "lacking" }, lines));
  }

  function visit(cell) {
    if (told.places.has(cell.nearest_id)) map.flyTo(told.places.get(cell.nearest_id), { zoom: 15 });
  }

  function show(how) {
    draw = how;
    draw();
    bringUp(answer);
  }

  units.addEventListener("change", () => at(place));
  draw();
  return { at, open: () => told && pin(), leave: clear, redraw: () => { draw(); if (markers.length) pin(); } };
}

const kindOf = (cell) => capital(cell[`kind_${language()}`] ?? cell.kind_zh);

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const named = (cell) => `${kindOf(cell)} ${cell.nearest_name || cell.nearest_id}`;

const walkTo = (cell) => say("circles_walk", {
  name: cell.nearest_name || cell.nearest_id, distance: metres(cell.metres), minutes: Math.ceil(cell.minutes),
});

const wanted = (cell) => (cell.counts === "metres"
  ? say("circles_wanted_metres", { distance: metres(cell.threshold_m) })
  : say("circles_wanted_minutes", { minutes: cell.tier_minutes }));

/** What the three shades on the map mean. */
function key() {
  return el("ul", { className: "key" }, MINUTES.map((minutes, i) => {
    const swatch = el("span", { className: "swatch", ariaHidden: "true" });
    swatch.style.background = RING_COLOURS[i];
    return el("li", {}, swatch, say("within", { minutes }));
  }));
}
