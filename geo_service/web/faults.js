// "What is wrong?": the check of a published layer, a draft, or a file just chosen.

import { byId, el, fill } from "./dom.js";
import { ask, latest } from "./service.js";
import { count, knows, language, say } from "./words.js";

const SHOWN = 200;
const ORDER = { error: 0, warning: 1, note: 2 };

export function start(map, city) {
  const what = byId("faults-what"), file = byId("faults-file"), answer = byId("faults-answer");
  const turn = latest();
  let drafts = [], only = "", draw = () => fill(answer);

  async function refresh(chosen = what.value) {
    drafts = (await ask("/drafts").catch(() => null))?.drafts ?? [];
    fill(what,
      el("option", { value: "" }, say("faults_choose")),
      city.layers.map(({ id }) => el("option", { value: `layer=${id}` }, say("faults_layer", { layer: layerName(id) }))),
      drafts.filter(({ state }) => state === "open").map(({ id, source }) =>
        el("option", { value: `draft=${id}` }, say("faults_draft", { id, source: source || "" }))));
    what.value = chosen;
    if (what.selectedIndex < 0) what.value = "";
  }

  async function check() {
    if (!what.value) return;
    const current = turn();
    show(() => fill(answer, el("p", { className: "busy" }, say("working"))));
    try {
      const report = await ask(`/faults?${what.value}`);
      if (!current()) return;
      const features = report.features.toSorted((a, b) => ORDER[a.properties.severity] - ORDER[b.properties.severity]);
      only = "";
      map.fit(onMap(features));
      show(() => fill(answer, verdict(report, features)));
    } catch (refused) {
      if (current()) refuse(refused);
    }
  }

  async function upload() {
    const [chosen] = file.files;
    if (!chosen) return;
    show(() => fill(answer, el("p", { className: "busy" }, say("working"))));
    const body = new FormData();
    body.append("file", chosen);
    body.append("layer", "grids");
    try {
      const draft = await ask("/drafts", { method: "POST", body });
      await refresh(`draft=${draft.id}`);
      await check();
    } catch (refused) {
      refuse(refused);
    }
    file.value = "";
  }

  function refuse(refused) {
    show(() => fill(answer, el("p", { className: "refused", role: "alert" }, refused.sentence ?? String(refused))));
  }

  function show(how) {
    draw = how;
    draw();
  }

  function verdict(report, features) {
    const wrong = features.filter(isWrong);
    const chosen = wrong.filter(({ properties }) => !only || properties.kind === only);
    map.put("faults", onMap(chosen));
    const notes = features.filter(({ properties }) => properties.severity === "note");
    const clean = wrong.length === 0;
    return el("article", { className: "card" },
      el("h2", { className: clean ? "good" : "bad" }, clean ? say("faults_none") : say("faults_count", { count: count(wrong.length) })),
      report.coverage_percent && el("p", {}, say("faults_covered", { percent: report.coverage_percent })),
      report.profile && el("p", { className: "quietly" }, say("faults_profile", { profile: report.profile })),
      wrong.length > 1 && el("label", {}, say("faults_only"), kinds(report, wrong)),
      chosen.length > SHOWN && el("p", { className: "quietly" }, say("faults_more", { shown: SHOWN })),
      el("ol", { className: "list faults" }, chosen.slice(0, SHOWN).map(row)),
      notes.length > 0 && el("details", { className: "more" },
        el("summary", {}, say("faults_notes", { count: count(notes.length) })),
        el("ol", { className: "list faults" }, notes.slice(0, SHOWN).map(row))));
  }

  /** A choice of one kind of fault, with how many there are. */
  function kinds(report, wrong) {
    const present = new Set(wrong.map(({ properties }) => properties.kind));
    const named = report.kinds.filter(({ kind }) => present.has(kind));
    const all = el("option", { value: "" }, say("faults_every", { count: count(wrong.length) }));
    const choices = named.map((one) => el("option", { value: one.kind }, `${one[language()]} (${count(one.count)})`));
    const select = el("select", { onchange: () => { only = select.value; draw(); } }, all, choices);
    select.value = only;
    return select;
  }

  function row(feature) {
    const { severity, message } = feature.properties;
    return el("li", {}, el("button", { type: "button", className: `quiet ${severity}`, onclick: (event) => go(feature, event.currentTarget) },
      el("span", { className: "tag" }, say(`severity_${severity}`)),
      el("span", {}, message[language()] ?? message)));
  }

  function go(feature, button) {
    for (const other of answer.querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    if (!feature.properties.at) return; // a code missing from the layer is nowhere on the map
    map.put("fault_chosen", dot(feature));
    map.flyTo(feature.properties.at, { zoom: 16.5 });
  }

  what.addEventListener("change", check);
  file.addEventListener("change", upload);
  map.whenClicked("faults-dot", ({ properties }) => {
    map.put("fault_chosen", null);
    const message = JSON.parse(properties.message);
    show(() => fill(answer, el("p", { className: `mind ${properties.severity}` }, message[language()]),
      el("button", { type: "button", className: "quiet", onclick: check }, "←")));
  });
  return {
    redraw: () => {
      draw();
      refresh();
    },
    open: () => refresh(),
    check: async (chosen) => { await refresh(chosen); await check(); },
  };
}

const layerName = (id) => (knows(`layer_${id}`) ? say(`layer_${id}`) : id);
const isWrong = ({ properties }) => properties.severity !== "note";
const onMap = (features) => ({ type: "FeatureCollection", features: features.filter(isWrong).flatMap(withDot) });
const dot = ({ properties }) => ({ type: "Feature", properties, geometry: { type: "Point", coordinates: properties.at } });
const withDot = (feature) => {
  const shapes = feature.geometry ? [feature] : [];
  return feature.properties.at && feature.geometry?.type !== "Point" ? [...shapes, dot(feature)] : shapes;
};
