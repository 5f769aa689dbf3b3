// "Which grid is this?": by address, by coordinates, or by a click.

import { bringUp, byId, el, facts, fill } from "./dom.js";
import { ask, latest, query } from "./service.js";
import { count, day, metres, say } from "./words.js";

const COORDINATES = /^\s*(-?\d+(?:\.\d+)?)\s*[,，\s]\s*(-?\d+(?:\.\d+)?)\s*$/;
const NEAR_BORDER_M = 20; // what a phone in the open may be off by
const STREET_GRIDS = 8;
const COMPLETE_AFTER_MS = 150; // of not typing

export function start(map, page, city) {
  const answer = byId("find-answer"), text = byId("find-text"), datum = byId("find-datum");
  const turn = latest(), completing = latest();
  let pause;
  let draw = () => fill(answer, overview(city));

  async function look(values, { fly }) {
    const current = turn();
    show(() => fill(answer, el("p", { className: "busy" }, say("working"))));
    try {
      const found = await ask(`/locate?${query({ ...values, accuracy_m: NEAR_BORDER_M })}`);
      if (!current()) return;
      if (found.reason?.startsWith("address_")) {
        show(() => fill(answer, unsettled(found)));
        return;
      }
      const at = place(found, values);
      if (at) map.mark(at);
      await select(found, { fly: fly && at, current });
    } catch (refused) {
      if (current()) show(() => fill(answer, el("p", { className: "refused", role: "alert" }, refused.sentence ?? String(refused))));
    }
  }

  async function select(found, { fly, current }) {
    const code = found.grid?.code;
    const shape = code ? await ask(`/collections/grids/items/${encodeURIComponent(code)}`).catch(() => null) : null;
    if (!current()) return;
    map.put("selected", shape);
    show(() => fill(answer, found.found ? card(found) : outside(found)));
    if (fly) map.flyTo(shape ?? fly);
  }

  function show(how) {
    draw = how;
    draw();
    bringUp(answer);
  }

  function card(found) {
    const { grid, chain = [], alternatives = [] } = found;
    const others = alternatives.filter((other) => other.code !== grid.code);
    const near = found.border_distance_m <= NEAR_BORDER_M;
    return el("article", { className: "card" },
      el("h2", {}, grid.name || grid.code),
      el("p", { className: "code" }, grid.code),
      found.address && el("p", { className: "quietly" }, say("matched", { address: found.address.matched })),
      facts([
        [say("belongs"), chain.filter((step) => step.code !== grid.code).map((step) => step.name || step.code).join(" › ")],
        [say("border"), metres(found.border_distance_m)],
        [say("households"), grid.households && count(grid.households)],
        [say("people"), grid.population && count(grid.population)],
        [say("people_60"), grid.population_60 && count(grid.population_60)],
        [say("head"), grid.head],
        [say("phone"), grid.phone],
      ]),
      near && el("p", { className: "mind" }, say("near_border")),
      others.length > 0 && el("h3", {}, say("others")),
      others.length > 0 && el("ul", { className: "list" }, others.slice(0, 5).map((other) =>
        el("li", {}, el("span", { className: "code" }, other.code), el("span", {}, metres(other.distance_m))))),
      el("div", { className: "actions" },
        el("button", { type: "button", onclick: () => page.walkFrom(map.marked()) }, say("walk_from_here")),
        city.streets && city.facilities && el("button", { type: "button", className: "quiet", onclick: () => page.circleAt(map.marked()) }, say("circle_here")),
        el("button", { type: "button", className: "quiet", onclick: copy(grid.code) }, say("copy"))),
      el("p", { className: "quietly" }, say("revision_of", { revision: found.revision, date: day(found.valid_from) })));
  }

  function outside(found) {
    const { nearest } = found;
    return el("article", { className: "card" },
      el("h2", {}, say("not_found")),
      nearest && el("p", {}, say("nearest_grid", { name: nearest.name || nearest.code, distance: metres(nearest.distance_m) })));
  }

  /** An address that is several places, or none, or can't be read. */
  function unsettled({ reason, grids = [], address: { candidates } }) {
    return el("article", { className: "card" },
      el("p", { className: "mind" }, say(reason)),
      grids.length > 0 && el("h3", {}, say("street_grids")),
      grids.length > 0 && el("ul", { className: "list" }, grids.slice(0, STREET_GRIDS).map(({ code, share }) =>
        el("li", {}, el("span", { className: "code" }, code), el("span", {}, `${Math.round(share * 100)} %`)))),
      el("ul", { className: "list pick" }, candidates.map(({ address, lon, lat }) => el("li", {},
        el("button", { type: "button", className: "quiet", onclick: () => at(lon, lat, { fly: true }) }, address)))));
  }

  function submit(event) {
    event.preventDefault();
    const typed = text.value.trim();
    if (!typed) return show(() => fill(answer, el("p", { className: "refused" }, say("find_empty"))));
    const match = COORDINATES.exec(typed);
    if (!match) return look({ address: typed }, { fly: true });
    if (!datum.value) {
      datum.focus();
      return show(() => fill(answer, el("p", { className: "refused", role: "alert" }, say("datum_needed"))));
    }
    return look({ lon: match[1], lat: match[2], datum: datum.value }, { fly: true });
  }

  text.addEventListener("input", () => {
    const typed = text.value.trim();
    byId("find-datum-row").hidden = !COORDINATES.test(typed);
    clearTimeout(pause);
    pause = setTimeout(() => complete(typed), COMPLETE_AFTER_MS);
  });

  /** Offers what the address table knows that goes on like this; without a table, nothing. */
  async function complete(typed) {
    const current = completing();
    const wanted = typed && !/^[-\d.,，\s]*$/.test(typed);
    const { suggestions } = wanted ? await ask(`/addresses?${query({ q: typed })}`).catch(() => ({ suggestions: [] })) : { suggestions: [] };
    if (current()) fill(byId("find-completions"), suggestions.map((value) => el("option", { value })));
  }

  byId("find-form").addEventListener("submit", submit);

  draw();
  const at = (lon, lat, { fly = false } = {}) => {
    map.mark([lon, lat]);
    return look({ lon: lon.toFixed(7), lat: lat.toFixed(7), datum: "wgs84" }, { fly });
  };
  return { at, redraw: () => draw(), search: (typed) => { text.value = typed; byId("find-form").requestSubmit(); } };
}

/** What the city holds, before anything was asked. */
function overview(city) {
  if (!city.layers.length) return null;
  const { revision, published_at: published } = city.layers.find(({ id }) => id === "grids") ?? city.layers.at(-1);
  return el("article", { className: "card" },
    el("h2", {}, city.title),
    facts(city.layers.filter(({ features }) => features > 1).map(({ id, features }) => [say(`layer_${id}`), count(features)])),
    el("p", { className: "quietly" }, say("published_on", { revision, date: day(published) })));
}

function place(found, values) {
  if (found.at) return found.at;
  if (found.address?.lon !== undefined && found.address?.lon !== null) return [found.address.lon, found.address.lat];
  return values.datum === "wgs84" ? [Number(values.lon), Number(values.lat)] : null;
}

function copy(code) {
  return async (event) => {
    await navigator.clipboard.writeText(code);
    event.target.textContent = say("copied");
  };
}
