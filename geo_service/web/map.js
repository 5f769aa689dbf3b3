// The map page: opens the city, joins its six rooms with the map, and speaks two languages.

import * as canvas from "./canvas.js";
import * as circles from "./circles.js";
import { byId, el, fill } from "./dom.js";
import * as drawing from "./drawing/room.js";
import * as faults from "./faults.js";
import * as find from "./find.js";
import * as layers from "./layers.js";
import { ask } from "./service.js";
import * as sites from "./sites.js";
import * as walk from "./walk.js";
import { language, say, speak, translate } from "./words.js";

const TABS = ["find", "walk", "circles", "faults", "sites", "draw"];
let rooms = {}, city = null;

translate();
byId("language").textContent = say("other_language");
byId("language").addEventListener("click", changeLanguage);
start().catch((refused) => tellAboveMap(say("map_failed", { reason: refused.sentence ?? refused.message })));

async function start() {
  city = await ask("/map/city");
  byId("synthetic").hidden = !city.synthetic;
  foot();
  if (!city.layers.length) tellAboveMap(say("empty_store"));
  const map = await canvas.open(city).catch(() => null);
  if (!map) tellAboveMap(say("no_webgl"));
  join(map ?? silentMap());
  document.documentElement.dataset.ready = "true";
  followLink();
}

function join(map) {
  const page = {
    walkFrom: (place) => { choose("walk"); rooms.walk.from(place); },
    circleAt: (place) => { choose("circles"); rooms.circles.at(place); },
    checkDraft: (id) => { choose("faults"); rooms.draw.peek(); rooms.faults.check(`draft=${id}`); },
    reopen: () => rooms.draw.open(),
    published,
  };
  rooms = {
    find: find.start(map, page, city),
    walk: walk.start(map, city),
    circles: circles.start(map, city),
    faults: faults.start(map, city),
    sites: sites.start(map, city),
    draw: drawing.start(map, page, city),
    layers: layers.start(map, city),
  };
  map.asked(([lon, lat]) => {
    if (chosen() === "walk") return rooms.walk.from([lon, lat]);
    if (chosen() === "circles") return rooms.circles.at([lon, lat]);
    if (chosen() === "draw") return rooms.draw.at([lon, lat]);
    choose("find");
    return rooms.find.at(lon, lat);
  });
  for (const name of TABS) byId(`tab-${name}`).addEventListener("click", () => choose(name));
  document.querySelector("[role=tablist]").addEventListener("keydown", stepTabs);

  /** Show a revision that was just published here. */
  function published(layer, { number, published_at: moment, features }) {
    const known = city.layers.find(({ id }) => id === layer);
    if (known) Object.assign(known, { revision: number, published_at: moment, features });
    map.renew(layer, number);
    foot();
  }
}

const chosen = () => TABS.find((name) => !byId(name).hidden);

function choose(name) {
  if (chosen() !== name) {
    rooms[chosen()].leave?.();
    rooms.draw.hide();
  }
  document.documentElement.dataset.tab = name;
  for (const tab of TABS) {
    const button = byId(`tab-${tab}`), on = tab === name;
    button.setAttribute("aria-selected", on);
    button.tabIndex = on ? 0 : -1;
    byId(tab).hidden = !on;
  }
  rooms[name].open?.();
}

function stepTabs(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = TABS[(TABS.indexOf(chosen()) + step + TABS.length) % TABS.length];
  choose(next);
  byId(`tab-${next}`).focus();
}

function changeLanguage() {
  speak(language() === "zh" ? "en" : "zh");
  byId("language").textContent = say("other_language");
  byId("language").lang = language() === "zh" ? "en" : "zh-CN";
  if (city) foot();
  for (const room of Object.values(rooms)) room.redraw?.();
}

function foot() {
  const grids = city.layers.find(({ id }) => id === "grids") ?? city.layers.at(-1);
  fill(byId("foot"),
    grids && el("span", {}, say("foot", { title: city.title, revision: grids.revision })),
    city.streets && !city.synthetic && el("span", {}, say("foot_streets")));
}

/** A link may carry a question: ?tab=walk&lon=..&lat=.., ?q=address, ?tab=faults&layer=grids, ?tab=draw&draft=12. */
function followLink() {
  const link = new URLSearchParams(location.search);
  const tab = link.get("tab"), lon = Number(link.get("lon")), lat = Number(link.get("lat"));
  if (TABS.includes(tab)) choose(tab);
  if (tab === "draw" && link.has("draft")) rooms.draw.openDraft(link.get("draft"));
  else if (tab === "draw" && link.has("within")) rooms.draw.area(link.get("within"));
  else if (link.has("q")) rooms.find.search(link.get("q"));
  else if (tab === "faults" && (link.has("layer") || link.has("draft"))) {
    rooms.faults.check(link.has("draft") ? `draft=${link.get("draft")}` : `layer=${link.get("layer")}`);
  } else if (link.has("lon") && link.has("lat")) {
    if (tab === "walk") rooms.walk.from([lon, lat]);
    else if (tab === "circles") rooms.circles.at([lon, lat]);
    else if (tab === "draw") rooms.draw.at([lon, lat]);
    else rooms.find.at(lon, lat, { fly: true });
  }
}

function tellAboveMap(sentence) {
  byId("map").append(el("p", { className: "over", role: "alert" }, sentence));
}

/** Stands in where no map can be drawn, so that questions are still answered in words. */
function silentMap() {
  let place = null;
  const nothing = () => {};
  return {
    asked: nothing, doubleClickZooms: nothing, existing: nothing, fit: nothing, flyTo: nothing, focus: nothing,
    hideWithin: nothing, put: nothing, renew: nothing, visible: nothing, whenClicked: nothing, whenDrawn: nothing,
    holdsFocus: () => false,
    sees: () => true,
    mark: (at) => { place = at; },
    marked: () => place,
    pin: () => ({ remove: nothing, getElement: () => document.createElement("i") }),
  };
}
