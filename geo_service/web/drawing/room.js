// "Draw": a draft chosen or begun, its grids cut, merged and moved on the map, checked, published.

import { byId, el, fill } from "../dom.js";
import { ask, latest, query } from "../service.js";
import { say } from "../words.js";
import * as anew from "./anew.js";
import * as choosing from "./choosing.js";
import * as drafts from "./draft.js";
import * as head from "./head.js";
import * as history from "./history.js";
import * as lists from "./lists.js";
import { borders, drawingMap } from "./onmap.js";
import * as publishing from "./publishing.js";
import * as quality from "./quality.js";
import { holds } from "./shapes.js";
import { sketching } from "./sketch.js";
import { target } from "./target.js";
import * as tools from "./tools.js";

export function start(map, page, city) {
  const picture = drawingMap(map);
  const room = {
    map, page, city, picture, draft: null, chosen: new Set(), measured: null, busy: false,
    author: city.caller?.name ?? "",
    sketch: sketching(map, { show: (lines, points) => picture.sketch(lines, points) }),
    open, close, choose, tell, refuse, act, undo, redo, remeasure, paint, paintMap,
  };
  const turn = latest();
  const desk = [head, tools, lists, quality, history, publishing].map((part) => part.start(room));
  const chooser = choosing.start(room);
  const drawer = anew.start(room);
  let told = () => null;

  /** Open a draft on the map. */
  async function open(id, { fit = true } = {}) {
    tell(() => el("p", { className: "busy" }, say("draw_opening")));
    try {
      const draft = await drafts.take(id);
      close();
      [room.draft, room.chosen, room.measured] = [draft, new Set(), null];
      history.address(draft.id);
      byId("draw").scrollTop = 0;
      map.put("selected", null);
      tell(() => null);
      paint();
      if (fit) map.fit({ type: "FeatureCollection", features: [...draft.grids.values()] });
      await remeasure();
    } catch (refused) {
      refuse(refused);
    }
  }

  function close() {
    room.sketch.end();
    tools.putDown(room);
    [room.draft, room.measured] = [null, null];
    history.address(null);
    byId("draw").scrollTop = 0;
    picture.clear();
    paint();
  }

  /** Do an operation; what is refused is told, and nothing has changed. */
  function act(operation) {
    return step(() => drafts.act(room.draft, operation, { author: room.author }));
  }

  function undo() {
    return step(() => drafts.undo(room.draft));
  }

  function redo() {
    return step(() => drafts.redo(room.draft));
  }

  async function step(does) {
    if (!room.draft || room.busy) return null;
    room.busy = true;
    try {
      const edit = await does();
      keepChosen(edit);
      tell(() => history.sentence(edit));
      remeasure();
      return edit;
    } finally {
      room.busy = false;
      paint();
    }
  }

  /** What became of the chosen grids is chosen next, so that work goes on from there. */
  function keepChosen({ created, retired, changed }) {
    const { grids } = room.draft;
    const left = [...room.chosen].filter((code) => grids.has(code));
    const merged = Object.keys(changed).filter((code) => changed[code] === "merged");
    const heirs = left.length < room.chosen.size ? [...created, ...retired, ...merged].filter((code) => grids.has(code)) : [];
    room.chosen = new Set([...left, ...heirs]);
  }

  async function remeasure() {
    const { draft } = room, current = turn();
    const { low, high } = target();
    const found = await ask(`/drafts/${draft.id}/quality?${query({ low, high })}`).catch(() => null);
    if (!current() || room.draft !== draft) return;
    room.measured = found;
    paint();
  }

  /** Choose a grid, or let it go again. */
  function choose(code, on = !room.chosen.has(code)) {
    if (on) room.chosen.add(code);
    else room.chosen.delete(code);
    paint();
  }

  function at(place) {
    if (room.sketch.open) return room.sketch.add(place);
    if (!room.draft) return drawer.previews ? null : chooser.at(place);
    const found = [...room.draft.grids.values()].find(({ geometry }) => geometry && holds(geometry, place));
    if (found) return choose(found.id);
    return tell(() => el("p", { className: "mind" }, say("draw_outside")));
  }

  function tell(how) {
    told = how;
    fill(byId("draw-told"), told());
  }

  function refuse(refused) {
    tell(() => el("p", { className: "refused", role: "alert" }, refused.sentence ?? String(refused)));
  }

  function paint() {
    const drawing = room.draft !== null;
    byId("draw-desk").hidden = !drawing;
    byId("draw-choose").hidden = drawing;
    // What is told stands where the hands are.
    const above = drawing ? byId("draw-tools") : null;
    if (above && above.nextElementSibling !== byId("draw-told")) above.after(byId("draw-told"));
    if (!above) byId("draw").prepend(byId("draw-told"));
    if (!drawing) return;
    paintMap();
    for (const part of desk) part.paint();
  }

  function paintMap() {
    const { draft, chosen, measured } = room;
    const sizes = new Map(measured?.grids.map(({ code, size }) => [code, size]));
    picture.show(draft.grids, { sizes, chosen, within: draft.record.replace_within });
    const movable = chosen.size ? new Map([...chosen].map((code) => [code, draft.grids.get(code)])) : draft.grids;
    picture.corners(tools.showsCorners() ? borders(movable) : []);
  }

  function key(event) {
    if (!room.draft || byId("draw").hidden || room.sketch.open) return;
    if (!(event.ctrlKey || event.metaKey) || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const letter = event.key.toLowerCase();
    if (letter !== "z" && letter !== "y") return;
    event.preventDefault();
    (letter === "y" || event.shiftKey ? redo() : undo()).catch(refuse);
  }

  document.addEventListener("keydown", key);
  return {
    at, openDraft: open, area: chooser.take,
    open: () => {
      for (const source of ["rings", "selected"]) map.put(source, null);
      if (room.draft) return paint();
      drawer.show();
      return chooser.refresh();
    },
    leave: () => { room.sketch.cancel(); map.put("selected", null); },
    hide: picture.clear,
    peek: () => room.draft && paintMap(),
    redraw: () => { fill(byId("draw-told"), told()); room.sketch.redraw(); chooser.redraw(); drawer.redraw(); paint(); },
  };
}
