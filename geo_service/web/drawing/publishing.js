// From a draft to a revision: the check, what is accepted and why, and publication.

import { byId, el, refill } from "../dom.js";
import { ask } from "../service.js";
import { count, language, say } from "../words.js";

export function start(room) {
  const box = byId("draw-publish");
  let checked = null, of = null, working = false, refused = null, sure = false;

  async function check() {
    await work(async () => { checked = await ask(`/faults?draft=${room.draft.id}`); });
  }

  async function publish(event) {
    event.preventDefault();
    const values = new FormData(event.target);
    const { id, record } = room.draft;
    await work(async () => {
      const revision = await ask(`/drafts/${id}/publish`, {
        method: "POST",
        json: { message: values.get("message") ?? "", author: room.author, accept: values.getAll("accept"), reason: values.get("reason") ?? "" },
      });
      room.page.published(record.layer, revision);
      room.close();
      room.tell(() => el("p", { className: "good", id: "draw-published" }, say("draw_published", { revision: revision.number })));
      room.page.reopen();
    });
  }

  /** The second press discards. */
  async function discard() {
    if (!sure) {
      sure = true;
      return paint();
    }
    return work(async () => {
      await ask(`/drafts/${room.draft.id}`, { method: "DELETE" });
      room.close();
      room.tell(() => el("p", {}, say("draw_discarded")));
      room.page.reopen();
    });
  }

  async function work(does) {
    [working, refused] = [true, null];
    paint();
    try {
      await does();
    } catch (error) {
      refused = error;
    }
    working = false;
    if (room.draft) paint();
  }

  function paint() {
    const { draft } = room;
    const state = `${draft.id}/${draft.edits.filter((edit) => !edit.undone).length}/${draft.edits.at(-1)?.made_at ?? ""}`;
    if (of !== state) [of, checked, refused, sure] = [state, null, null, false]; // a check of what was there before says nothing
    refill(box,
      el("h3", {}, say("publish_title")),
      el("p", { className: "hint" }, say("publish_hint")),
      el("button", { type: "button", id: "draw-check", className: "quiet", disabled: working, onclick: check }, say("publish_check")),
      working && el("p", { className: "busy" }, say("working")),
      checked && verdict(),
      checked && (room.city.caller.publishes ? form() : el("p", { className: "mind" }, say("publish_other", { id: draft.id }))),
      refused && el("p", { className: "refused", role: "alert" }, refused.sentence ?? String(refused)),
      el("button", { type: "button", id: "draw-discard", className: "quiet bad", disabled: working, onclick: discard }, say(sure ? "draw_discard_sure" : "draw_discard")));
  }

  const errors = () => kinds("error");

  /** The kinds of fault of one severity, with how many there are. */
  function kinds(severity) {
    const found = new Map();
    for (const { properties } of checked.features) {
      if (properties.severity === severity) found.set(properties.kind, (found.get(properties.kind) ?? 0) + 1);
    }
    return checked.kinds.filter(({ kind }) => found.has(kind)).map((one) => ({ kind: one.kind, name: one[language()], count: found.get(one.kind) }));
  }

  function verdict() {
    const wrong = errors(), mind = kinds("warning");
    const told = ({ name, count: many }) => `${name} ${count(many)}`;
    return el("div", { id: "draw-verdict" },
      wrong.length ? el("p", { className: "bad" }, say("publish_errors", { kinds: wrong.map(told).join(say("comma")) })) : el("p", { className: "good" }, say("publish_clean")),
      mind.length > 0 && el("p", { className: "quietly" }, say("publish_warnings", { kinds: mind.map(told).join(say("comma")) })),
      (wrong.length > 0 || mind.length > 0) && el("button", { type: "button", className: "quiet", onclick: () => room.page.checkDraft(room.draft.id) }, say("publish_look")));
  }

  function form() {
    const wrong = errors();
    return el("form", { id: "publish-form", onsubmit: publish },
      wrong.length > 0 && el("fieldset", {},
        el("legend", {}, say("publish_accept")),
        wrong.map(({ kind, name, count: many }) => el("label", { className: "check" },
          el("input", { type: "checkbox", name: "accept", value: kind, required: true }), el("span", {}, `${name}（${count(many)}）`)))),
      wrong.length > 0 && el("div", {}, el("label", { htmlFor: "publish-reason" }, say("publish_reason")), el("input", { id: "publish-reason", name: "reason", type: "text", required: true, maxLength: 300 })),
      el("div", {}, el("label", { htmlFor: "publish-message" }, say("publish_message")), el("input", { id: "publish-message", name: "message", type: "text", maxLength: 300 })),
      el("button", { type: "submit", id: "draw-publish-now", disabled: working }, say("publish_button")));
  }

  return { paint };
}
