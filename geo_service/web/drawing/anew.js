// A community or township drawn by the machine, anew in two alternatives or after growth with few
// changes: what comes stands beside what is published, and one is taken.

import { byId, el, fill } from "../dom.js";
import * as work from "../jobs.js";
import { ask, query } from "../service.js";
import { language, say } from "../words.js";
import { areaName } from "./areas.js";
import { comparison } from "./quality.js";
import { target, targetFields } from "./target.js";

const ANEW = [0, 1].map((seed) => ({ process: "draw", more: { seed } }));
const AFTER_GROWTH = [{ process: "redraw", more: {} }];

export function start(room) {
  const box = byId("draw-anew");
  let within = "", jobs = [], drawn = [], shown = 0, refused = null, nothing = [];

  async function draw(plans) {
    const { low, high } = target();
    within = byId("draw-community")?.value || byId("draw-township")?.value;
    [drawn, refused, nothing] = [[], null, []];
    try {
      const mine = await Promise.all(plans.map(({ process, more }) => work.submit(process, { within, target: [low, high], ...more })));
      jobs = mine;
      paint();
      const results = await Promise.all(mine.map((job) => work.follow(job, (told) => progress(Object.assign(job, told)))));
      if (jobs === mine) await compare(results);
      else results.forEach((one) => one?.draft && discard(one.draft)); // given up when one was done already
    } catch (error) {
      await giveUp();
      refused = error;
    }
    paint();
  }

  async function compare(results) {
    const { low, high } = target();
    jobs = [];
    if (results.includes(null)) return; // stopped elsewhere
    nothing = results.filter(({ draft }) => !draft).flatMap(({ notes, misses }) => [...notes, ...misses]);
    drawn = await Promise.all(results.filter(({ draft }) => draft).map(async (result) => {
      const { id } = result.draft;
      const [grids, measured] = await Promise.all([
        ask(`/drafts/${id}/grids?datum=wgs84`), ask(`/drafts/${id}/quality?${query({ low, high })}`),
      ]);
      return { id, result, measured, grids: new Map(grids.features.map((one) => [one.id, one])) };
    }));
    shown = 0;
    show({ fit: true });
  }

  /** Show the alternative looked at on the map. */
  function show({ fit = false } = {}) {
    if (!drawn.length || room.draft) return;
    const { grids, measured } = drawn[shown];
    const sizes = new Map(measured.grids.map(({ code, size }) => [code, size]));
    room.picture.show(grids, { sizes, within });
    room.map.put("selected", null);
    if (fit) room.map.fit({ type: "FeatureCollection", features: [...grids.values()] });
  }

  async function takeIt() {
    const taken = drawn[shown], others = drawn.filter((one) => one !== taken);
    drawn = [];
    paint();
    await Promise.all(others.map(discard));
    await room.open(taken.id);
  }

  async function takeNone() {
    const all = drawn;
    drawn = [];
    room.picture.clear();
    paint();
    await Promise.all(all.map(discard));
  }

  const discard = ({ id }) => ask(`/drafts/${id}`, { method: "DELETE" }).catch(() => null);

  async function giveUp() {
    const running = jobs;
    jobs = [];
    paint();
    await Promise.all(running.map(work.stop));
  }

  function paint() {
    if (!room.city.caller?.draws) return fill(box);
    // Whoever compares plans need not see what else could be chosen.
    for (const id of ["draw-begin", "draw-drafts"]) byId(id).hidden = drawn.length > 0 || jobs.length > 0;
    if (drawn.length) return fill(box, alternatives());
    if (jobs.length) {
      fill(box, el("h3", {}, say("anew_working", { area: areaName(within) })),
        el("progress", { id: "anew-progress", max: 100, ariaLabel: say("anew") }), el("p", { id: "anew-words", className: "quietly" }),
        el("button", { type: "button", className: "quiet", onclick: giveUp }, say("anew_stop")));
      return progress();
    }
    return fill(box,
      el("h3", {}, say("anew")),
      el("p", { className: "hint" }, say("anew_hint")),
      room.city.homes && room.city.streets ? null : el("p", { className: "mind" }, say("anew_lacks")),
      targetFields("anew"),
      el("button", { type: "button", id: "anew-start", className: "quiet", onclick: () => draw(ANEW) }, say("anew_start")),
      el("p", { className: "hint" }, say("growth_hint")),
      el("button", { type: "button", id: "growth-start", className: "quiet", onclick: () => draw(AFTER_GROWTH) }, say("growth_start")),
      nothing.length > 0 && el("div", { id: "growth-nothing", className: "mind", role: "status" },
        el("p", {}, say("growth_nothing")), nothing.map((told) => el("p", {}, "households" in told ? `${told.code} ` : "", told[language()]))),
      refused && el("p", { className: "refused", role: "alert" }, refused.sentence ?? String(refused)));
  }

  function progress() {
    const bar = byId("anew-progress");
    if (!bar || !jobs.length) return;
    bar.value = jobs.reduce((sum, job) => sum + (job.progress ?? 0), 0) / jobs.length;
    byId("anew-words").textContent = jobs.map((job, i) => `${named(i)}${say("colon")}${job[`message_${language()}`] || say("anew_waits")}`).join(" · ");
  }

  function alternatives() {
    return [
      el("h3", {}, say(drawn.length > 1 ? "anew_done" : "growth_done", { area: areaName(within) })),
      el("fieldset", { className: "choices", id: "anew-which" },
        el("legend", {}, say("anew_which")),
        drawn.map((_, i) => el("label", {},
          el("input", { type: "radio", name: "anew", checked: i === shown, onchange: () => { shown = i; show(); paintMisses(); } }), el("span", {}, named(i))))),
      comparison([now(), ...drawn.map(({ measured }, i) => ({ name: named(i), figures: measured.quality }))].filter(Boolean)),
      el("div", { id: "anew-misses" }, misses()),
      el("div", { className: "actions" },
        el("button", { type: "button", id: "anew-take", onclick: takeIt }, say("anew_take")),
        el("button", { type: "button", className: "quiet", onclick: takeNone }, say("anew_none"))),
    ];
  }

  function now() {
    const { before } = drawn[0].measured;
    return before && { name: say("quality_now", { revision: before.revision }), figures: before.quality };
  }

  /** Why grids are outside the range, of the alternative looked at. */
  function misses() {
    const { misses: all } = drawn[shown].result;
    if (!all.length) return [];
    return [el("h3", {}, say("anew_misses", { count: all.length })),
      el("ul", { className: "list" }, all.map((miss) => el("li", {}, el("span", {}, el("span", { className: "code" }, miss.code), el("span", { className: "line" }, miss[language()])))))];
  }

  const paintMisses = () => fill(byId("anew-misses"), misses());
  const named = (i) => (drawn.length || jobs.length) > 1 ? say("anew_plan", { number: i + 1 }) : say("growth_plan");

  paint();
  return { redraw: paint, show, get previews() { return drawn.length > 0; } };
}
