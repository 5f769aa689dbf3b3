// The switch that turns layers of the map on and off.

import { byId, el, fill } from "./dom.js";
import { LEVELS, PLACES_FROM, SWITCHES } from "./mapstyle.js";
import { ask } from "./service.js";
import { say } from "./words.js";

export function start(map, city) {
  const list = byId("layers-list"), switchBox = byId("layers");
  const published = new Set(city.layers.map(({ id }) => id));
  const rows = [
    ...LEVELS.filter(({ name }) => published.has(name)),
    ...(city.streets ? [{ name: "streets", from: 10.8 }] : []),
    ...(city.facilities ? [{ name: "facilities", from: PLACES_FROM }] : []),
    { name: "faults", from: 0 },
  ];
  const on = new Map(rows.map(({ name }) => [name, true]));

  function redraw() {
    fill(list, rows.map(({ name, from }) => el("label", {},
      el("input", { type: "checkbox", checked: on.get(name), onchange: (event) => turn(name, event.target.checked) }),
      el("span", {}, say(`layer_${name}`), map.gl && from > map.gl.getZoom() && el("small", {}, say("zoom_in_for"))))));
  }

  function turn(name, shown) {
    on.set(name, shown);
    map.visible(SWITCHES[name], shown);
  }

  if (city.facilities) {
    ask("/map/facilities").then((places) => map.put("facilities", places)).catch(() => {});
  }
  switchBox.addEventListener("toggle", redraw);
  map.gl?.on("zoomend", () => switchBox.open && !list.contains(document.activeElement) && redraw());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") switchBox.open = false;
  });
  redraw();
  return { redraw };
}
