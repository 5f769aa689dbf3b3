// Which draft: one begun before, or a new one of a township or community as it is published.

import { byId, el, fill } from "../dom.js";
import { ask, latest, query } from "../service.js";
import { day, say } from "../words.js";
import { areaName, remember } from "./areas.js";

export function start(room) {
  const box = byId("draw-begin");
  const turn = latest();
  let areas = null, open = [], township = "", community = "", draws = room.city.caller?.draws;

  async function refresh() {
    if (!draws) return paint();
    const current = turn();
    try {
      const [found, drafts] = await Promise.all([areas ?? ask("/map/areas"), ask("/drafts")]);
      if (!current()) return;
      areas = found;
      remember(areas);
      open = drafts.drafts.filter(({ state, layer }) => state === "open" && layer === "grids").toReversed();
      if (!township) await settle(room.map.marked());
    } catch (refused) {
      room.refuse(refused);
    }
    return paint();
  }

  /** Begin where the map was last asked about, else with the first township. */
  async function settle(place) {
    township = areas.townships?.[0]?.code ?? "";
    if (place) await at(place);
  }

  async function begin() {
    const within = code();
    room.tell(() => el("p", { className: "busy" }, say("draw_opening")));
    try {
      const draft = await ask("/drafts/open", { method: "POST", json: { layer: "grids", within, author: room.author } });
      await room.open(draft.id);
    } catch (refused) {
      room.refuse(refused);
    }
  }

  const code = () => community || township;

  /** Choose the community around a place on the map. */
  async function at([lon, lat]) {
    const found = await ask(`/locate?${query({ lon: lon.toFixed(7), lat: lat.toFixed(7), datum: "wgs84" })}`).catch(() => null);
    const codes = (found?.chain ?? []).map((step) => step.code);
    if (!codes.length) return room.tell(() => el("p", { className: "mind" }, say("not_found")));
    if (!areas) await refresh();
    return take(codes.find((one) => one.length === 12) ?? codes.find((one) => one.length === 9));
  }

  async function take(wanted) {
    if (!areas) await refresh();
    if (!(areas?.townships ?? []).some((one) => one.code === wanted?.slice(0, 9))) {
      return room.tell(() => el("p", { className: "mind" }, say("draw_foreign")));
    }
    [township, community] = [wanted.slice(0, 9), wanted.length > 9 ? wanted : ""];
    room.tell(() => null);
    paint();
    return showArea();
  }

  async function showArea() {
    const layer = community ? "communities" : "townships";
    const shape = await ask(`/collections/${layer}/items/${encodeURIComponent(code())}`).catch(() => null);
    if (!shape || room.draft) return;
    room.map.put("selected", shape);
    room.map.fit(shape);
  }

  function paint() {
    if (!draws) return fill(box, el("p", { className: "mind" }, say("draw_not_yours")));
    if (!areas) return null;
    fill(box,
      el("p", { className: "hint" }, say("draw_hint")),
      el("div", {},
        el("label", { htmlFor: "draw-township" }, say("draw_township")),
        select("draw-township", township, townshipOptions(), (value) => { [township, community] = [value, ""]; paint(); showArea(); })),
      el("div", {},
        el("label", { htmlFor: "draw-community" }, say("draw_community")),
        select("draw-community", community, communityOptions(), (value) => { community = value; showArea(); })),
      el("button", { type: "button", id: "draw-start", onclick: begin }, say("draw_start")));
    return fill(byId("draw-drafts"),
      open.length > 0 && el("h3", {}, say("draw_drafts", { count: open.length })),
      open.length > 0 && el("ul", { className: "list" }, open.map(row)));
  }

  function townshipOptions() {
    const counties = areas.counties ?? [];
    return counties.map((county) => el("optgroup", { label: county.name || county.code },
      areas.townships.filter((one) => one.code.startsWith(county.code)).map(option)));
  }

  function communityOptions() {
    const below = (areas.communities ?? []).filter((one) => one.code.startsWith(township));
    return [el("option", { value: "" }, say("draw_whole")), ...below.map(option)];
  }

  function row(draft) {
    const about = [draft.author, day(draft.created_at), say("draw_grids", { count: draft.features })].filter(Boolean).join(" · ");
    return el("li", {}, el("button", { type: "button", className: "quiet", onclick: () => room.open(draft.id) },
      el("span", {}, el("strong", {}, say("draw_draft", { id: draft.id, area: areaName(draft.replace_within) })),
        el("span", { className: "line" }, about))));
  }

  return { refresh, at, take, redraw: paint, code };
}

const option = ({ code, name }) => el("option", { value: code }, name || code);

function select(id, value, options, changed) {
  const found = el("select", { id, onchange: () => changed(found.value) }, options);
  found.value = value;
  return found;
}
