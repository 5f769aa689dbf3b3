// The grids of the draft as a list, to be chosen without a map.

import { byId, el, refill } from "../dom.js";
import { count, say } from "../words.js";
import { mark } from "./onmap.js";

const SHOWN = 300;

export function start(room) {
  const box = byId("draw-grids");
  let onlyWrong = false;

  function paint() {
    const { draft, chosen, measured } = room;
    const sizes = new Map(measured?.grids.map(({ code, size }) => [code, size]));
    const all = [...draft.grids.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const shown = onlyWrong ? all.filter(({ id }) => (sizes.get(id) ?? "right") !== "right") : all;
    const scrolled = box.querySelector("ul")?.scrollTop ?? 0;
    refill(box,
      el("h3", {}, say("draw_list", { count: all.length, chosen: chosen.size })),
      el("div", { className: "under" },
        el("label", { className: "check" }, el("input", { type: "checkbox", id: "draw-only", checked: onlyWrong, onchange: (event) => { onlyWrong = event.target.checked; paint(); } }), el("span", {}, say("draw_only_wrong"))),
        el("button", { type: "button", id: "draw-none", className: "quiet small", disabled: !chosen.size, onclick: () => { chosen.clear(); room.paint(); } }, say("draw_none"))),
      el("ul", { className: "list grids", ariaLabel: say("draw_list_label") }, shown.slice(0, SHOWN).map((feature) => row(feature, sizes.get(feature.id)))),
      shown.length > SHOWN && el("p", { className: "quietly" }, say("draw_list_more", { count: SHOWN })));
    box.querySelector("ul").scrollTop = scrolled;
  }

  function row({ id, properties }, size) {
    const { households } = properties;
    return el("li", {}, el("button", {
      type: "button", id: `grid-${id}`, className: `quiet ${size ?? ""}`, ariaPressed: String(room.chosen.has(id)),
      onclick: () => { room.choose(id); look(id); },
    },
      el("span", {}, el("strong", {}, properties.name || id), el("span", { className: "line code" }, id)),
      el("span", { className: "held" },
        households === null || households === undefined ? "" : say("households_count", { count: count(households) }),
        size && size !== "right" && el("span", { className: "line" }, `${mark(size)} ${say(`size_${size}`)}`))));
  }

  /** A grid chosen in the list is shown, if it is out of sight. */
  function look(id) {
    const feature = room.draft.grids.get(id);
    if (room.chosen.has(id) && feature?.geometry && !room.map.sees(feature)) room.map.fit(feature);
  }

  return { paint };
}
