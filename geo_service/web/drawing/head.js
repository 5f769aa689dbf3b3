// Which draft is open, how it stands to what is published, and the way out.

import { byId, el, refill } from "../dom.js";
import { ask } from "../service.js";
import { say } from "../words.js";
import { areaName } from "./areas.js";

export function start(room) {
  const box = byId("draw-head");
  let shown = null, others = [];

  /** Others who draw in the same place: told before both have drawn for hours. */
  async function look(draft) {
    const found = await ask("/drafts").catch(() => ({ drafts: [] }));
    if (room.draft !== draft) return;
    others = found.drafts.filter((one) => one.state === "open" && one.id !== draft.id && one.layer === draft.record.layer
      && overlaps(one.replace_within ?? "", draft.record.replace_within ?? ""));
    paint();
  }

  function leave() {
    room.close();
    room.tell(() => null);
    room.page.reopen();
  }

  function paint() {
    const { draft, city } = room;
    if (shown !== draft) {
      [shown, others] = [draft, []];
      look(draft);
    }
    const { record } = draft;
    const own = others.filter(({ author }) => author === room.author), theirs = others.filter((one) => !own.includes(one));
    const now = city.layers.find(({ id }) => id === record.layer)?.revision ?? 0;
    refill(box,
      el("div", { className: "under" },
        el("h2", {}, areaName(record.replace_within)),
        el("button", { type: "button", id: "draw-leave", className: "quiet small", onclick: leave }, say("draw_leave"))),
      el("p", { className: "quietly" }, say("draw_based", { id: draft.id, revision: record.base_revision })),
      now > record.base_revision && el("p", { className: "mind" }, say("draw_moved_on", { revision: now })),
      theirs.length > 0 && el("p", { className: "mind" }, say("draw_others", { drafts: theirs.map(({ id, author }) => say("draw_other", { id, who: author || "?" })).join(say("comma")) })),
      own.length > 0 && el("p", { className: "quietly" }, say("draw_own", { drafts: own.map(({ id }) => id).join(say("comma")) })));
  }

  return { paint };
}

const overlaps = (one, other) => one.startsWith(other) || other.startsWith(one);
