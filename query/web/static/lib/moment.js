/** A stretch of a video that plays again and again, with a box on the face that it is about. */

import { get } from "./api.js";
import { el, svg } from "./dom.js";
import { lastAt } from "./frames.js";
import { load } from "./playback.js";
import { clock } from "./time.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * `moment` is { folder, video, tracklet, frame, start, end }, times in seconds. With `crops`, rows [time, x, y, w, h],
 * what would be cut is drawn as well. Returns the element and `stop`, which lets go of the file.
 */
export function playMoment(moment, { crops = null, label = null } = {}) {
  const name = label ?? `${moment.video} from ${clock(moment.start)} to ${clock(moment.end)}`;
  const video = el("video", { playsinline: true, controls: true, preload: "auto", "aria-label": name, tabindex: "0" });
  video.muted = true;
  video.poster = `/pictures/frame/${encodeURIComponent(moment.folder)}/${moment.frame}?width=640`;
  const box = svg("rect", { class: "moment-face", rx: 6 });
  const cut = svg("rect", { class: "moment-crop" });
  const overlay = svg("svg", { class: "moment-boxes", "aria-hidden": "true" }, cut, box);
  const note = el("p", { class: "soft", role: "status", hidden: true });
  const element = el("div", { class: "moment" }, el("div", { class: "moment-stage" }, video, overlay), note);
  const cropTimes = crops?.map((row) => row[0]);
  const cropBoxes = crops?.map((row) => row.slice(1));
  let track = null;
  let stopped = false;

  get(`/api/track/${encodeURIComponent(moment.folder)}/t${moment.tracklet}`)
    .then((found) => {
      track = found;
      overlay.setAttribute("viewBox", `0 0 ${found.width} ${found.height}`);
      draw(found.times[moment.frame - found.frame] ?? moment.start);
    })
    .catch(() => {}); // Without boxes the moment is still worth seeing.

  function say(text) {
    note.textContent = text;
    note.hidden = stopped || !text;
  }

  function draw(time) {
    place(box, track?.times, track?.boxes, time);
    place(cut, cropTimes, cropBoxes, time);
  }

  function onFrame(time) {
    if (stopped) return;
    if (time >= moment.end - 0.001) video.currentTime = moment.start;
    draw(time);
    watch();
  }

  // A browser that does not report frames is looked at each time it draws.
  const watch = video.requestVideoFrameCallback
    ? () => video.requestVideoFrameCallback((_, frame) => onFrame(frame.mediaTime))
    : () => requestAnimationFrame(() => onFrame(video.currentTime));

  load(video, moment.folder, { onWork: (text) => say(`Preparing this video for playing: ${text}`) })
    .then(() => {
      if (stopped) return video.removeAttribute("src");
      say("");
      video.currentTime = moment.start + 0.001;
      if (!still.matches) video.play().catch(() => {});
    })
    .catch((error) => error.name !== "AbortError" && say(`${error.message} This is a picture of the moment.`));
  // A stretch at the end of the video is left by the end itself.
  video.addEventListener("ended", () => {
    video.currentTime = moment.start;
    video.play().catch(() => {});
  });
  watch();
  return {
    element,
    stop() {
      stopped = true;
      video.pause();
      video.removeAttribute("src");
      video.load();
    },
  };
}

/** Puts a rectangle where its track is at a time; nowhere before it begins and after it ends. */
function place(rect, times, boxes, time) {
  const index = times ? lastAt(times, time + 0.0005) : -1;
  const inside = index >= 0 && !(index === times.length - 1 && time > times[index] + 0.2);
  rect.toggleAttribute("hidden", !inside);
  if (!inside) return;
  const [x, y, w, h] = boxes[index];
  for (const [key, value] of Object.entries({ x, y, width: w, height: h })) rect.setAttribute(key, value);
}
