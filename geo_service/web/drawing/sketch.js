// Drawing on the map with the mouse, a finger or the keys: a line, an outline, or a corner moved.
//
// One sketch at a time. Clicks, or the space bar at the map's centre, add points; Enter or a double
// click ends it; Backspace takes the last point back; Escape gives up.

import { byId, el, fill } from "../dom.js";
import { say } from "../words.js";

const SAME_PX = 4;

/** `pixel` gives a place on the screen; `show(lines, points)` draws what there is so far. */
export function sketching(map, { show }) {
  const bar = byId("sketch");
  let asked = null, points = [], pointer = null, refused = "";

  /** Ask for a drawing: `{hint, least, most, closed, snap, name, done, cancelled, preview}`. */
  function begin(wanted) {
    asked = { least: 2, most: Infinity, closed: false, snap: (place) => place, ...wanted };
    [points, pointer, refused] = [[], null, ""];
    map.doubleClickZooms(false);
    bar.hidden = false;
    redraw();
  }

  function end() {
    if (!asked) return;
    asked = null;
    map.doubleClickZooms(true);
    bar.hidden = true;
    show([], []);
  }

  function cancel() {
    const { cancelled } = asked ?? {};
    end();
    cancelled?.();
  }

  /** Keep the sketch open after a refusal, told where it was drawn, to be drawn again. */
  function refuse(sentence) {
    if (!asked) return;
    [points, refused] = [[], sentence];
    redraw();
  }

  function add(place) {
    const snapped = asked.snap(place, points);
    if (!snapped) return refuse(asked.missed());
    refused = "";
    if (!points.length || map.pixelsApart(points.at(-1), snapped) > SAME_PX) points.push(snapped);
    if (points.length >= asked.most) return finish();
    return redraw();
  }

  function finish() {
    if (points.length < asked.least) return refuse(say("sketch_too_few", { count: asked.least }));
    return asked.done([...points], { name: byId("sketch-name")?.value.trim() });
  }

  /** A corner caught with the mouse goes where it is let go; told whether one was caught. */
  function grab(place) {
    if (!asked?.drags || points.length) return false;
    const snapped = asked.snap(place, points);
    if (!snapped) return false;
    [points, refused] = [[snapped], ""];
    redraw();
    return true;
  }

  function takeBack() {
    points.pop();
    redraw();
  }

  function hover(place) {
    if (!asked || !points.length) return;
    pointer = place;
    draw();
  }

  function redraw() {
    if (!asked) return;
    const name = byId("sketch-name")?.value ?? "";
    fill(bar,
      el("p", {}, asked.hint()),
      el("p", { className: "quietly keys" }, say("sketch_keys")),
      refused && el("p", { className: "refused", role: "alert" }, refused),
      asked.name && el("input", { id: "sketch-name", type: "text", value: name, maxLength: 60, placeholder: asked.name(), ariaLabel: asked.name() }),
      el("div", { className: "actions" },
        asked.most > 2 && el("button", { type: "button", onclick: finish }, say("sketch_done")),
        el("button", { type: "button", className: "quiet", onclick: takeBack }, say("sketch_back")),
        el("button", { type: "button", className: "quiet", onclick: cancel }, say("sketch_cancel"))));
    draw();
  }

  function draw() {
    if (asked.preview && points.length) return show(asked.preview(points, pointer), points);
    const line = pointer ? [...points, pointer] : [...points];
    if (asked.closed && line.length > 2) line.push(line[0]);
    return show([line], points);
  }

  function key(event) {
    if (!asked) return;
    if (event.key === "Escape") return swallow(event, cancel);
    if (!map.holdsFocus()) return;
    if (event.key === "Enter" && asked.most > 2) swallow(event, finish);
    else if (event.key === " " || event.key === "Enter") swallow(event, () => add(map.centre()));
    else if (event.key === "Backspace") swallow(event, takeBack);
  }

  document.addEventListener("keydown", key, { capture: true });
  map.whenDrawn({ moved: hover, grabbed: grab, dropped: add, doubleClicked: () => asked?.most > 2 && finish() });
  return { begin, end, cancel, refuse, add, redraw, get open() { return asked !== null; } };
}

function swallow(event, then) {
  event.preventDefault();
  event.stopPropagation();
  then();
}
