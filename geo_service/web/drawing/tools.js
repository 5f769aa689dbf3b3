// The pen: each tool says what must be chosen first, has something drawn on the map, and asks for it.

import { byId, el, refill } from "../dom.js";
import { say } from "../words.js";
import { done, undone } from "./draft.js";
import { borders } from "./onmap.js";
import { longer, metresAPixel, withMoved } from "./shapes.js";

const OVERSHOOT_M = 2; // a cut drawn up to a border goes on a little, so that it crosses it
const SNAP_WITHIN_M = 20;
const REACH_PX = 24;

// How many grids must be chosen before: [fewest, most].
const TOOLS = {
  split: { needs: [1, 1], begin: split },
  merge: { needs: [2, Infinity], begin: merge },
  move: { needs: [0, Infinity], begin: move },
  straighten: { needs: [0, 2], begin: straighten },
  follow: { needs: [0, 2], begin: follow },
  snap: { needs: [1, 1], begin: snap },
  reassign: { needs: [2, 2], begin: reassign },
  cut_out: { needs: [1, 1], begin: cutOut },
};

let held = null, snaps = true;

export const showsCorners = () => ["move", "straighten", "follow"].includes(held);

export function putDown(room) {
  held = null;
  room.sketch.end();
}

export function start(room) {
  const box = byId("draw-tools");

  function take(name) {
    const again = held === name;
    room.sketch.end();
    held = null;
    if (again) return room.paint();
    const { needs: [fewest, most], begin } = TOOLS[name];
    if (room.chosen.size < fewest || room.chosen.size > most) {
      room.tell(() => el("p", { className: "mind", role: "alert" }, say(`need_${name}`)));
      return room.paint();
    }
    if (name !== "merge" && !room.map.gl) return room.tell(() => el("p", { className: "mind" }, say("no_webgl")));
    room.tell(() => null);
    begin(room, {
      /** Have something drawn, then ask for the operation it makes; a refusal leaves the pen in hand. */
      draw: (wanted, operation) => hold(name, wanted, operation),
      act: (operation) => room.act(operation).catch(room.refuse),
    });
    return room.paint();
  }

  function hold(name, wanted, operation) {
    held = name;
    const release = () => {
      held = null;
      room.paint();
      byId(`tool-${name}`)?.focus();
    };
    room.sketch.begin({
      ...wanted,
      cancelled: release,
      done: async (points, extra) => {
        try {
          await room.act(operation(points, extra));
          room.sketch.end();
          if (name === "move") return hold(name, wanted, operation); // corners are moved one after the other
          return release();
        } catch (refused) {
          return room.sketch.refuse(refused.sentence ?? String(refused));
        }
      },
    });
    room.paint();
    room.map.focus();
  }

  function paint() {
    refill(box,
      el("div", { className: "tools", role: "group", ariaLabel: say("draw_tools") }, Object.keys(TOOLS).map((name) => el("button", {
        type: "button", id: `tool-${name}`, className: "quiet", title: say(`hint_${name}`), ariaPressed: name === "merge" ? null : String(held === name),
        disabled: room.busy, onclick: () => take(name),
      }, say(`tool_${name}`)))),
      el("div", { className: "actions" },
        step("draw-undo", "Control+Z", done(room.draft).length, room.undo),
        step("draw-redo", "Control+Shift+Z", undone(room.draft).length, room.redo)),
      el("label", { className: "check" },
        el("input", { type: "checkbox", id: "draw-snaps", checked: snaps, onchange: (event) => { snaps = event.target.checked; } }),
        el("span", {}, say("draw_snaps"))));
  }

  function step(id, keys, left, does) {
    return el("button", {
      type: "button", id, className: "quiet", disabled: left === 0, title: keys.replace("Control", "Ctrl"), "aria-keyshortcuts": keys,
      onclick: () => does().catch(room.refuse),
    }, say(id.replace("-", "_")));
  }

  return { paint };
}

function split(room, pen) {
  const [code] = room.chosen;
  pen.draw({ hint: () => say("hint_split"), snap: snapping(room) }, (points) => ({ op: "split", code, line: longer(points, OVERSHOOT_M) }));
}

function merge(room, pen) {
  return pen.act({ op: "merge", codes: [...room.chosen] });
}

/** A corner, or where none is near a piece of border, and where it goes. */
function move(room, pen) {
  const lines = () => borders(room.draft.grids);
  let grabbed = null;

  function catchNear(place) {
    const corner = room.picture.corner(lines(), place);
    const edge = corner ? null : room.picture.border(lines(), place);
    grabbed = corner ? { op: "move_node", ends: [corner] } : edge && { op: "move_edge", ends: edge.ends };
    return corner ?? edge?.place ?? null;
  }

  const snapTo = snapping(room, { ownCorners: false });
  pen.draw({
    hint: () => say("hint_move"), most: 2, drags: true, missed: () => say("missed_border"),
    snap: (place, points) => (points.length ? snapTo(place) : catchNear(place)),
    preview: ([from], to) => (to ? withMoved(lines(), grabbed.ends.map((end) => [end, shifted(end, from, to)])) : []),
  }, ([from, to]) => ({ op: grabbed.op, at: from, to }));
}

const shifted = ([x, y], from, to) => [x + to[0] - from[0], y + to[1] - from[1]];

function straighten(room, pen) {
  pen.draw({ hint: () => say("hint_straighten"), most: 2, snap: toCorner(room), missed: () => say("missed_corner") },
    ([from, to]) => ({ op: "straighten", from, to, ...between(room), within_m: reach(room, from) }));
}

function follow(room, pen) {
  const snapTo = snapping(room), ends = toCorner(room);
  pen.draw({ hint: () => say("hint_follow"), least: 3, snap: (place, points) => (points.length ? snapTo(place) : ends(place)), missed: () => say("missed_corner") },
    (line) => ({ op: "follow", from: line[0], to: line.at(-1), line, ...between(room), within_m: reach(room, line[0]) }));
}

function snap(room, pen) {
  const [code] = room.chosen;
  pen.draw({ hint: () => say("hint_snap", { metres: SNAP_WITHIN_M }), snap: (place) => (snaps && room.picture.street(place)) || place },
    (line) => ({ op: "snap", code, line, within_m: SNAP_WITHIN_M }));
}

function reassign(room, pen) {
  const [code, to] = room.chosen;
  const names = () => ({ from: named(room, code), to: named(room, to) });
  pen.draw({ hint: () => say("hint_reassign", names()), least: 3, closed: true, snap: snapping(room) },
    (block) => ({ op: "reassign", code, to, block, trim: true }));
}

function cutOut(room, pen) {
  const [code] = room.chosen;
  pen.draw({ hint: () => say("hint_cut_out"), least: 3, closed: true, snap: snapping(room), name: () => say("cut_out_name") },
    (premises, { name }) => ({ op: "cut_out", code, premises, trim: true, ...(name ? { name } : {}) }));
}

const named = (room, code) => room.draft.grids.get(code)?.properties.name || code;
const between = ({ chosen }) => (chosen.size === 2 ? { between: [...chosen] } : {});
const reach = ({ map }, [, latitude]) => Math.min(1000, Math.max(1, REACH_PX * metresAPixel(map.zoom(), latitude)));

/** Bring a place to a corner, a border or a street close by, where that is wanted. */
function snapping(room, { ownCorners = true } = {}) {
  return (place) => {
    if (!snaps) return place;
    const lines = borders(room.draft.grids);
    return (ownCorners && room.picture.corner(lines, place)) || room.picture.street(place)
      || (ownCorners && room.picture.border(lines, place)?.place) || place;
  };
}

function toCorner(room) {
  return (place) => room.picture.corner(borders(room.draft.grids), place);
}
