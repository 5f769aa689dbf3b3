// What townships and communities are called.

import { say } from "../words.js";

const names = new Map();

export function remember(areas) {
  for (const one of Object.values(areas).flat()) names.set(one.code, one.name);
}

/** "西大街道 第一社区", the code where no name is known, "the whole layer" without one. */
export function areaName(code) {
  if (!code) return say("draw_everything");
  const steps = [9, 12].filter((digits) => code.length >= digits).map((digits) => names.get(code.slice(0, digits)));
  return steps.filter(Boolean).join(" ") || names.get(code) || code;
}
