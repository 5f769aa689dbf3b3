// How many households a grid should hold: asked once, kept for the page.

import { el } from "../dom.js";
import { say } from "../words.js";

const KEY = "target", USUAL = { low: 300, high: 500 };
let chosen = remembered();

export const target = () => chosen;

/** Two numbers, fewest and most; `changed` hears of sensible ones. */
export function targetFields(prefix, changed = () => {}) {
  const field = (name) => el("input", {
    id: `${prefix}-${name}`, type: "number", min: 1, max: 100000, value: chosen[name], inputMode: "numeric",
    ariaLabel: say(`target_${name}`), onchange: take,
  });
  const low = field("low"), high = field("high");

  function take() {
    const wanted = { low: Math.round(low.valueAsNumber), high: Math.round(high.valueAsNumber) };
    const sensible = wanted.low >= 1 && wanted.high >= wanted.low;
    for (const input of [low, high]) input.setAttribute("aria-invalid", !sensible);
    if (!sensible) return;
    chosen = wanted;
    keep();
    changed();
  }

  return el("fieldset", { className: "target" },
    el("legend", {}, say("target")),
    el("div", { className: "row" }, low, el("span", { ariaHidden: "true" }, "–"), high, el("span", {}, say("target_unit"))));
}

function remembered() {
  try {
    return { ...USUAL, ...JSON.parse(sessionStorage.getItem(KEY)) };
  } catch {
    return USUAL; // storage can be forbidden
  }
}

function keep() {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(chosen));
  } catch {
    // the choice then lasts for this page only
  }
}
