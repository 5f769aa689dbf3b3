// What was done to the draft, in words, newest first.

import { byId, el, refill } from "../dom.js";
import { language, say } from "../words.js";
import { done } from "./draft.js";

const SHOWN = 30;

export function start(room) {
  const box = byId("draw-history");

  function paint() {
    const { draft } = room;
    const newest = draft.edits.toReversed();
    refill(box,
      el("h3", {}, say("draw_history", { count: done(draft).length })),
      newest.length > 0 && el("ol", { className: "list history", reversed: true }, newest.slice(0, SHOWN).map((edit) => el("li", { className: edit.undone ? "undone" : "" },
        el("span", {}, sentence(edit), el("span", { className: "line" }, [edit.undone && say("draw_undone"), edit.author, moment(edit.made_at)].filter(Boolean).join(" · ")))))));
  }

  return { paint };
}

/** What an edit did, as the service says it. */
export function sentence(edit) {
  return el("span", {}, edit.notes.map((note) => note[language()]).join(" "));
}

const moment = (text) => new Date(text).toLocaleTimeString(language() === "zh" ? "zh-CN" : "en-GB", { hour: "2-digit", minute: "2-digit" });

/** Keep the open draft in the page's address: reloading, or sending it, opens it again. */
export function address(id) {
  const url = new URL(location.href);
  for (const name of ["tab", "draft", "lon", "lat", "q", "within", "layer"]) url.searchParams.delete(name);
  if (id !== null) {
    url.searchParams.set("tab", "draw");
    url.searchParams.set("draft", id);
  }
  window.history.replaceState(null, "", url);
}
