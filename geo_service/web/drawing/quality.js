// How good the drawing is: its figures beside those of what is published, or of two alternatives.

import { byId, el, refill } from "../dom.js";
import { count, language, metres, say } from "../words.js";
import { targetFields } from "./target.js";

// Figure -> how it is written; what is missing is left out.
const FIGURES = {
  grids: count,
  dedicated: count,
  in_range: count,
  households_least: count,
  households_median: count,
  households_most: count,
  compactness_median: (value) => value.toFixed(2),
  compactness_p10: (value) => value.toFixed(2),
  border_on_street: share,
  border_on_line: share,
  main_ways_inside: share,
  buildings_cut: count,
  across_median_m: metres,
  across_most_m: metres,
  area_moved_percent: percent,
  households_moved_percent: percent,
};

export function start(room) {
  const box = byId("draw-quality");

  function paint() {
    const { measured } = room;
    if (!measured) return refill(box, el("h3", {}, say("quality")), targetFields("desk", room.remeasure), el("p", { className: "busy" }, say("working")));
    const columns = [{ name: say("quality_draft"), figures: measured.quality }];
    if (measured.before) columns.unshift({ name: say("quality_now", { revision: measured.before.revision }), figures: measured.before.quality });
    return refill(box, el("h3", {}, say("quality")), targetFields("desk", room.remeasure), comparison(columns));
  }

  return { paint };
}

/** Figures side by side: a column a drawing. */
export function comparison(columns) {
  const shown = Object.keys(FIGURES).filter((name) => columns.some(({ figures }) => known(figures[name]) && (name !== "dedicated" || figures[name])));
  return el("table", { className: "figures" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, say("quality_figure")), columns.map(({ name }) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, shown.map((name) => el("tr", {},
      el("th", { scope: "row" }, say(`quality_${name}`)),
      columns.map(({ figures }) => el("td", {}, written(name, figures)))))));
}

function written(name, figures) {
  const value = figures[name];
  if (!known(value)) return "–";
  return name === "in_range" ? `${count(value)} / ${count(figures.grids - figures.dedicated)}` : FIGURES[name](value);
}

// Never rounded up: 99.97 % is not 100 %.
function share(value) {
  return percent(100 * value);
}

function percent(value) {
  return `${new Intl.NumberFormat(language() === "zh" ? "zh-CN" : "en", { maximumFractionDigits: 1 }).format(Math.floor(value * 10 + 1e-6) / 10)}%`;
}

const known = (value) => value !== null && value !== undefined;
