// A draft as it stands on the server, with what was done to it: the page's copy, kept in step.

import { ask, query } from "../service.js";

const DATUM = "wgs84";

/** Take up an open draft; rejects with the service's refusal. */
export async function take(id) {
  const draft = { id, grids: new Map(), record: null, edits: [] };
  await reload(draft);
  return draft;
}

export async function reload(draft) {
  const [record, grids, history] = await Promise.all([
    ask(`/drafts/${draft.id}`),
    ask(`/drafts/${draft.id}/grids?datum=${DATUM}`),
    ask(`/drafts/${draft.id}/edits`),
  ]);
  draft.record = record;
  draft.grids = new Map(grids.features.map((feature) => [feature.id, feature]));
  draft.edits = history.edits;
}

/** Do an operation; gives the edit with what it changed, or rejects and nothing has changed. */
export async function act(draft, operation, { author }) {
  const path = `/drafts/${draft.id}/edits?${query({ datum: DATUM, author })}`;
  const answer = await ask(path, { method: "POST", json: operation });
  const expected = done(draft).length + 1;
  draft.edits = [...done(draft), answer.edit];
  return carry(draft, answer, { gone: answer.edit.retired, asExpected: answer.edit.number === expected });
}

export async function undo(draft) {
  const answer = await ask(`/drafts/${draft.id}/undo?datum=${DATUM}`, { method: "POST" });
  return again(draft, answer, answer.edit.created, done(draft).at(-1));
}

export async function redo(draft) {
  const answer = await ask(`/drafts/${draft.id}/redo?datum=${DATUM}`, { method: "POST" });
  return again(draft, answer, answer.edit.retired, undone(draft)[0]);
}

export const done = (draft) => draft.edits.filter((edit) => !edit.undone);
export const undone = (draft) => draft.edits.filter((edit) => edit.undone);

function again(draft, answer, gone, expected) {
  draft.edits = draft.edits.map((edit) => (edit.number === answer.edit.number ? answer.edit : edit));
  return carry(draft, answer, { gone, asExpected: answer.edit.number === expected?.number });
}

/** Take up the grids an answer gives; where somebody else drew on the draft too, all of it. */
async function carry(draft, answer, { gone, asExpected }) {
  if (!asExpected) await reload(draft);
  for (const code of gone) draft.grids.delete(code);
  for (const feature of answer.grids.features) draft.grids.set(feature.id, feature);
  return answer.edit;
}
