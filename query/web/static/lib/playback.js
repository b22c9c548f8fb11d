/** Lets a `<video>` play an indexed video: its source, or a copy where this browser does not play that. */

import { get, post } from "./api.js";
import { follow } from "./jobs.js";

/**
 * Sets the source of `video` and resolves once its length and size are known. `onWork` gets the job that makes a copy,
 * again and again while it runs. Throws an Error with a message for the user.
 */
export async function load(video, folder, { onWork = () => {} } = {}) {
  const name = encodeURIComponent(folder);
  const { address } = await get(`/api/playback/${name}`);
  if (address && (await plays(video, address))) return;
  if (address?.startsWith("/media/proxy/")) throw new Error("This browser does not play H.264; use another one.");
  const { job } = await post(`/api/playback/${name}/proxy`);
  const copy = await ended(job, onWork);
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
