/** Lets a `<video>` play an indexed video: its source, or a copy where this browser does not play that. */

import { get, post } from "./api.js";
import { follow } from "./jobs.js";

/**
 * Sets the source of `video` and resolves once its length and size are known. While a copy is made, `onWork` gets again
 * and again how far that is, as a text. Throws an Error with a message for the user.
 */
export async function load(video, folder, { onWork = () => {} } = {}) {
  const name = encodeURIComponent(folder);
  const { address } = await get(`/api/playback/${name}`);
  if (address && (await plays(video, address))) return;
  if (address?.startsWith("/media/proxy/")) throw new Error("This browser does not play H.264; use another one.");
  const { job } = await post(`/api/playback/${name}/proxy`);
  const text = progress();
  const copy = await ended(job, (now) => onWork(text(now)));
  if (!(await plays(video, copy.address))) throw new Error("This browser does not play H.264; use another one.");
}

/** Whether the browser reads the head of a file and finds pictures in it. */
function plays(video, address) {
  return new Promise((resolve) => {
    const settle = (result) => {
      video.removeEventListener("loadedmetadata", known);
      video.removeEventListener("error", failed);
      resolve(result);
    };
    // Where only the sound can be played there is no error, but no picture either.
    const known = () => settle(video.videoWidth > 0);
    const failed = () => settle(false);
    video.addEventListener("loadedmetadata", known);
    video.addEventListener("error", failed);
    video.src = address;
    video.load();
  });
}

/** Gives a function that says of a job, each time it is looked at, how far it is and how long it still takes. */
export function progress(clock = () => performance.now() / 1000) {
  let first = null; // when the job was seen to run, and how far it was
  return ({ state, done, total }) => {
    if (state === "queued") return "waiting for other work";
    if (!total) return "0 %";
    const share = `${Math.floor((100 * done) / total)} %`;
    first ??= { done, time: clock() };
    const seconds = clock() - first.time;
    if (seconds < 2 || done <= first.done || done >= total) return share; // nothing to say, or too early
    const left = (seconds * (total - done)) / (done - first.done);
    return `${share}, about ${left < 60 ? `${Math.ceil(left)} s` : `${Math.ceil(left / 60)} min`} left`;
  };
}

function ended(id, onWork) {
  return new Promise((resolve, reject) => {
    follow(id, (job) => {
      onWork(job);
      if (job.state === "done") resolve(job.result);
      if (job.state === "failed") reject(new Error(job.error.message));
      if (job.state === "cancelled") reject(new DOMException("cancelled", "AbortError"));
    });
  });
}
