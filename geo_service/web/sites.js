// "Where should the next ones stand?": proposed sites as numbered markers, with reasons and proof.

import { byId, el, facts, fill } from "./dom.js";
import * as jobs from "./jobs.js";
import { ask, latest } from "./service.js";
import { count, knows, language, metres, say } from "./words.js";

export function start(map, city) {
  const form = byId("sites-form"), answer = byId("sites-answer");
  const turn = latest();
  let draw = () => fill(answer), markers = [], kind = "rest_station", job = null;

  async function open() {
    map.existing(kind);
    if (markers.length) return;
    if (!city.proposals) return show(() => fill(answer, el("p", { className: "hint" }, say("sites_none"))));
    const current = turn();
    try {
      const plan = await ask("/sites/latest");
      if (current()) present(plan);
    } catch (refused) {
      if (current()) refuse(refused);
    }
  }

  async function compute(event) {
    event.preventDefault();
    const current = turn();
    if (job) jobs.stop(job);
    job = null;
    show(() => fill(answer, el("p", { className: "busy" }, say("working"))));
    const values = new FormData(form);
    try {
      const mine = await jobs.submit("siting", {
        kind: values.get("kind"), count: Number(values.get("count")), minutes: Number(values.get("minutes")),
      });
      if (!current()) return jobs.stop(mine);
      job = mine;
      wait(mine);
      const plan = await jobs.follow(mine, (told) => current() && progress(Object.assign(mine, told)));
      if (!current()) return;
      job = null;
      if (plan) present(plan);
      else show(() => fill(answer));
    } catch (refused) {
      if (current()) refuse(refused);
    }
  }

  function wait(mine) {
    show(() => {
      fill(answer,
        el("progress", { id: "sites-progress", max: 100, ariaLabel: say("working") }),
        el("p", { id: "sites-words", className: "quietly", role: "status" }),
        el("button", { type: "button", id: "sites-stop", className: "quiet", onclick: () => jobs.stop(mine) }, say("sites_stop")));
      progress(mine);
    });
  }

  function progress(told) {
    const bar = byId("sites-progress");
    if (!bar) return;
    bar.value = told.progress ?? 0;
    byId("sites-words").textContent = told[`message_${language()}`] || say("working");
  }

  function refuse(refused) {
    job = null;
    show(() => fill(answer, el("p", { className: "refused", role: "alert" }, refused.sentence ?? String(refused))));
  }

  function present(plan) {
    kind = plan.kind || kind;
    form.elements.kind.value = kind;
    map.existing(kind);
    for (const marker of markers) marker.remove();
    markers = plan.sites.map((site, i) => map.pin([site.lon, site.lat], {
      className: "site", text: String(i + 1), label: say("site", { rank: i + 1 }), onclick: () => focus(i),
    }));
    if (plan.sites.length) map.fit({ type: "MultiPoint", coordinates: plan.sites.map(({ lon, lat }) => [lon, lat]) });
    show(() => fill(answer, summary(plan)));
  }

  function summary(plan) {
    return el("article", { className: "card" },
      el("h2", {}, say("sites_title", { kind: say(`kind_${kind}`), count: count(plan.sites.length) })),
      bars(plan),
      plan.gap_percent !== null && plan.gap_percent !== undefined && el("p", { className: "good" },
        Number(plan.gap_percent) === 0 ? say("sites_best") : say("sites_proven", { gap: Number(plan.gap_percent).toFixed(2) })),
      el("p", { className: "quietly key" },
        el("span", { className: "number", ariaHidden: "true" }, "1"), say("layer_sites"),
        el("span", { className: "dot", ariaHidden: "true" }), say("layer_facilities")),
      el("ol", { className: "list sites" }, plan.sites.map((site, i) => el("li", {},
        el("button", { type: "button", className: "quiet", id: `site-${i}`, onclick: () => focus(i, site) },
          el("span", { className: "number", ariaHidden: "true" }, String(i + 1)),
          el("span", {}, el("strong", {}, site.name || site.id), reasons(site, plan.weight_field)))))));
  }

  function focus(i, site) {
    byId(`site-${i}`)?.scrollIntoView({ block: "nearest" });
    byId(`site-${i}`)?.focus({ preventScroll: true });
    for (const [k, marker] of markers.entries()) marker.getElement().classList.toggle("chosen", k === i);
    if (site) map.flyTo([site.lon, site.lat], { zoom: 14 });
  }

  function show(how) {
    draw = how;
    draw();
  }

  form.addEventListener("submit", compute);
  return { open, leave: () => map.existing(null), redraw: () => draw() };
}

function reasons(site, counted) {
  const lines = [say("sites_newly", { count: people(site.newly_covered, counted) })];
  if (site.nearest_existing_m !== null && site.nearest_existing_m !== undefined) {
    lines.push(say("sites_nearest", { distance: metres(site.nearest_existing_m) }));
  }
  lines.push(say("sites_only", { count: people(site.only_here, counted) }));
  return lines.map((line) => el("span", { className: "line" }, line));
}

/** A number with what it counts: riders, people over 60. */
function people(value, counted) {
  const word = counted === "households" ? "households_count" : counted;
  return knows(word) ? say(word, { count: count(value) }) : count(value);
}

/** Covered before and after, as two bars with their numbers. */
function bars(plan) {
  const share = (value) => (plan.total ? (100 * value) / plan.total : null);
  const before = share(plan.covered_before), after = share(plan.covered_after);
  if (before === null) return facts([[say("sites_before"), count(plan.covered_before)], [say("sites_after"), count(plan.covered_after)]]);
  return el("div", { className: "bars" },
    el("p", {}, say("sites_covered", { minutes: plan.minutes })),
    bar(say("sites_before"), before, "now"), bar(say("sites_after"), after, "then"));
}

function bar(name, percent, className) {
  const filled = el("span", { className: `filled ${className}` });
  filled.style.width = `${percent}%`;
  // Never rounded up: 99.97 % is not 100 %.
  return el("div", { className: "bar-row" }, el("span", {}, name), el("span", { className: "track" }, filled), el("strong", {}, `${Math.floor(percent * 10) / 10}%`));
}
