// "How far is a fifteen-minute walk?": rings around a clicked place.

import { bringUp, byId, el, fill } from "./dom.js";
import { RING_COLOURS } from "./mapstyle.js";
import { ask, latest, query } from "./service.js";
import { count, metres, say, squareKilometres } from "./words.js";

const MINUTES = [5, 10, 15];

export function start(map, city) {
  const answer = byId("walk-answer");
  const turn = latest();
  let draw = () => fill(answer, !city.streets && el("p", { className: "mind" }, say("no_streets")));
  let origin = null;

  async function from(place) {
    if (!place) return;
    origin = place;
    const current = turn();
    map.mark(place);
    show(() => fill(answer, el("p", { className: "busy" }, say("working"))));
    const profile = document.querySelector("#walk-profile input:checked").value;
    const [lon, lat] = place;
    try {
      const rings = await ask(`/catchments?${query({ lon: lon.toFixed(7), lat: lat.toFixed(7), datum: "wgs84", minutes: MINUTES.join(","), profile, people: true })}`);
      if (!current()) return;
      const features = rings.features.toSorted((a, b) => b.properties.minutes - a.properties.minutes);
      for (const feature of features) feature.properties.place = MINUTES.indexOf(feature.properties.minutes);
      map.put("rings", { type: "FeatureCollection", features });
      map.fit({ type: "FeatureCollection", features });
      show(() => fill(answer, legend(features.toReversed())));
    } catch (refused) {
      if (!current()) return;
      map.put("rings", null);
      show(() => fill(answer, el("p", { className: "refused", role: "alert" }, refused.sentence ?? String(refused))));
    }
  }

  function show(how) {
    draw = how;
    draw();
    bringUp(answer);
  }

  byId("walk-profile").addEventListener("change", () => from(origin));
  draw();
  return { from, redraw: () => draw() };
}

function legend(features) {
  const { snap_distance_m: snapped } = features[0]?.properties ?? {};
  return el("article", { className: "card" },
    el("h2", {}, say("walk_result")),
    el("ul", { className: "rings" }, features.map(({ properties }, i) => ring(properties, i))),
    snapped > 1 && el("p", { className: "quietly" }, say("snapped", { distance: metres(snapped) })),
    features.some(({ properties }) => known(properties.people)) && el("p", { className: "quietly" }, say("people_note")));
}

function ring(properties, i) {
  const swatch = el("span", { className: "swatch", ariaHidden: "true" });
  swatch.style.background = RING_COLOURS[i];
  return el("li", {}, swatch,
    el("strong", {}, say("within", { minutes: properties.minutes })),
    el("span", {}, [
      squareKilometres(properties.area_m2),
      known(properties.people) && say("people_about", { count: count(properties.people) }),
    ].filter(Boolean).join(" · ")));
}

const known = (value) => value !== null && value !== undefined;
