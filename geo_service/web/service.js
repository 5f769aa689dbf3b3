// Asking the service: JSON in, JSON out, refusals as sentences.

import { language, say } from "./words.js";

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title ?? "");
    this.code = problem.code ?? "";
    this.problem = problem;
  }

  /** The sentence in the language now chosen. */
  get sentence() {
    return this.problem[`detail_${language()}`] ?? this.message;
  }
}

export async function ask(path, { method = "GET", json, body, prefer } = {}) {
  const headers = { "Accept-Language": language() };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (prefer) headers.Prefer = prefer;
  let response;
  try {
    response = await fetch(path, { method, headers, body: json === undefined ? body : JSON.stringify(json) });
  } catch {
    throw new Refused({ detail_zh: say("offline"), detail_en: say("offline"), code: "offline" });
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({ detail: response.statusText }));
  if (!response.ok) throw new Refused(answer);
  return answer;
}

export const query = (values) => new URLSearchParams(Object.entries(values).filter(([, v]) => v !== undefined && v !== "")).toString();

/** Lets only the latest of several questions be answered. */
export function latest() {
  let turn = 0;
  return () => {
    const mine = ++turn;
    return () => mine === turn;
  };
}
