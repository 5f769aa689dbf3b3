// Long work handed in as a job: followed by its events, stopped, its result fetched.

import { ask } from "./service.js";

const ENDED = ["successful", "failed", "dismissed"];

export const submit = (process, inputs) =>
  ask(`/processes/${process}/execution`, { method: "POST", json: { inputs }, prefer: "respond-async" });

export const outcome = (job) => ask(`/jobs/${job.jobID}/results`);

export const stop = (job) => ask(`/jobs/${job.jobID}`, { method: "DELETE" }).catch(() => null);

/** Tell of a job until it has ended; give what it found, or nothing where it was stopped. */
export function follow(job, tell) {
  return new Promise((done, failed) => {
    const events = new EventSource(`/jobs/${job.jobID}/events`);
    const hear = ({ data }) => {
      const told = JSON.parse(data);
      tell(told);
      if (!ENDED.includes(told.status)) return;
      events.close();
      if (told.status === "dismissed") done(null);
      else outcome(job).then(done, failed); // of a failed job: why, as a refusal
    };
    for (const state of ["accepted", "running", ...ENDED]) events.addEventListener(state, hear);
    // A stream that breaks off is taken up again by the browser; one that is refused is not.
    events.onerror = () => events.readyState === EventSource.CLOSED && outcome(job).then(done, failed);
  });
}
