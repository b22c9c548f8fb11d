/** The view Video: the film with boxes, who is when, and what can be said about a face. */

import { get, post } from "/static/lib/api.js";
import { el, svg } from "/static/lib/dom.js";
import { Frames, lastAt } from "/static/lib/frames.js";
import { keys, showHelp } from "/static/lib/keys.js";
import { Preview, bars, colourOf, scale } from "/static/lib/lanes.js";
import { load } from "/static/lib/playback.js";
import { clock, lasting } from "/static/lib/time.js";
import { complain, toast } from "/static/lib/toast.js";

const SPEEDS = [1, 2, 4];
const MOST_LANES = 14; // rows that are shown at once
const LETTERS = 14; // px, of names on boxes
const byId = (id) => document.getElementById(id);
const view = byId("video-view");
const folder = view.dataset.folder;
const at = encodeURIComponent(folder);
const video = byId("video");
const overlay = byId("overlay");
const stage = byId("stage");
const preview = new Preview(byId("preview"), byId("preview-picture"), byId("preview-text"));

let timeline = null;
let frames = null;
let people = new Map(); // by id
let stretches = new Map(); // by tracklet
let shown = { frame: 0, time: 0 }; // the frame on the screen
let wanted = null; // the frame that a seek is on its way to
let lastTime = 0; // media time that was drawn last, or is to be once its boxes are there
let chosen = null; // the lane that [ and ] follow: id of a person, "nobody", or null for everybody
let allLanes = false;
let zoom = 1;
let reverse = null; // playing backwards: { rate, from, since }

// -- The index

async function loadTimeline() {
  timeline = await get(`/api/videos/${at}/timeline`);
  people = new Map(timeline.people.map((one) => [one.id, one]));
  stretches = new Map(
    timeline.stretches.map(([tracklet, cluster, person, startFrame, endFrame, start, end]) => [
      tracklet, { tracklet, cluster, person, startFrame, endFrame, start, end },
    ]),
  );
  if (!frames || frames.version !== timeline.version) frames = new Frames(timeline, onStale);
  byId("length").textContent = `${lasting(timeline.duration)},`;
  byId("scrub").max = timeline.duration;
  drawLanes();
  draw(lastTime);
}

let staleTimer = null;

/** The video was indexed again, or somebody was forgotten: what is drawn is of another index. */
function onStale() {
  clearTimeout(staleTimer);
  staleTimer = setTimeout(() => {
    toast("This video was indexed again; what is shown is new.");
    loadTimeline().catch(complain);
  }, 50);
}

const nameOf = (person) => (person === null ? "nobody yet" : (people.get(person)?.name ?? `person ${person}`));

// -- The frame on the screen

/** `isMediaTime`: the time is exactly that of a frame, and not one at which a frame is shown. */
function draw(time, isMediaTime = exact) {
  lastTime = time;
  if (!frames) return;
  const frame = isMediaTime ? frames.at(time) : frames.showing(time);
  if (frame === null) {
    overlay.replaceChildren();
    delete overlay.dataset.frame;
    frames.prepare(time).then(() => lastTime === time && draw(time, isMediaTime)).catch(complain);
    return;
  }
  shown = { frame, time };
  if (frame === wanted) wanted = null;
  const faces = frames.faces(frame);
  drawBoxes(frame, faces);
  byId("clock").textContent = clock(time, 2);
  byId("frame").textContent = frame.toLocaleString("en");
  if (document.activeElement !== byId("scrub") || video.paused) byId("scrub").value = time;
  byId("scrub").setAttribute("aria-valuetext", clock(time));
  playhead.style.left = `${Math.min((100 * time) / timeline.duration, 100)}%`;
  listFaces(faces);
  if (!video.paused) frames.prepare(Math.min(time + 3, timeline.duration));
}

const boxes = new Map(); // by tracklet

function drawBoxes(frame, faces) {
  const unit = Math.max(timeline.width / stage.clientWidth, timeline.height / stage.clientHeight); // video px in one of the page
  for (const { tracklet, box } of faces) {
    const entry = boxes.get(tracklet) ?? newBox(tracklet);
    const [x, y, w, h] = box;
    for (const [key, value] of Object.entries({ x, y, width: w, height: h })) entry.rect.setAttribute(key, value);
    const person = stretches.get(tracklet)?.person ?? null;
    entry.rect.setAttribute("stroke", colourOf(person));
    entry.text.textContent = nameOf(person);
    const above = y > 1.6 * LETTERS * unit;
    entry.text.setAttribute("x", x);
    entry.text.setAttribute("y", above ? y - 0.5 * LETTERS * unit : y + h + 1.2 * LETTERS * unit);
    entry.text.setAttribute("font-size", LETTERS * unit);
    entry.text.setAttribute("stroke-width", 3 * unit);
    if (!entry.group.isConnected) overlay.append(entry.group);
  }
  const here = new Set(faces.map((face) => face.tracklet));
  for (const [tracklet, entry] of boxes) {
    if (here.has(tracklet)) continue;
    entry.group.remove();
    boxes.delete(tracklet);
  }
  overlay.dataset.frame = frame;
}

function newBox(tracklet) {
  const rect = svg("rect", { "data-tracklet": tracklet });
  const text = svg("text");
  const group = svg("g", {}, rect, text);
  rect.addEventListener("click", (event) => {
    event.stopPropagation();
    openFace(tracklet);
  });
  const entry = { group, rect, text };
  boxes.set(tracklet, entry);
  return entry;
}

let listed = null;

function listFaces(faces) {
  const now = faces.map((face) => `${face.tracklet} ${nameOf(stretches.get(face.tracklet)?.person ?? null)}`).join();
  if (now === listed) return;
  listed = now;
  const list = byId("here");
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.face : null;
  list.replaceChildren(
    ...faces.map(({ tracklet }) => {
      const person = stretches.get(tracklet)?.person ?? null;
      const mark = svg("svg", { class: "dot", viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("circle", { cx: 5, cy: 5, r: 5, fill: colourOf(person) }));
      const picture = el("img", { class: "face small", src: `/pictures/face/${at}/t${tracklet}`, alt: "", loading: "lazy" });
      picture.addEventListener("error", () => picture.setAttribute("hidden", ""));
      return el("li", {}, el("button", { type: "button", "data-face": tracklet, on: { click: () => openFace(tracklet) } }, picture, mark, nameOf(person)));
    }),
  );
  if (!faces.length) list.append(el("li", { class: "soft" }, "No face."));
  if (focused) list.querySelector(`[data-face="${focused}"]`)?.focus();
}

// -- Playing

const exact = "requestVideoFrameCallback" in HTMLVideoElement.prototype;

function onFrame(_, frame) {
  draw(frame.mediaTime);
  video.requestVideoFrameCallback(onFrame);
}

function onAnimation() {
  if (video.readyState >= 2 && video.currentTime !== lastTime) draw(video.currentTime);
  requestAnimationFrame(onAnimation);
}

function start(rate = 1) {
  stopReverse();
  video.playbackRate = rate;
  video.play().catch((error) => error.name !== "AbortError" && complain(error));
}

function pause() {
  stopReverse();
  video.pause();
}

const toggle = () => (video.paused && !reverse ? start() : pause());

function faster() {
  if (video.paused || reverse) start();
  else start(SPEEDS[Math.min(SPEEDS.indexOf(video.playbackRate) + 1, SPEEDS.length - 1)]);
}

/** Browsers do not play backwards: frames are sought for, as many as there is time for. */
function backwards() {
  const rate = reverse ? SPEEDS[Math.min(SPEEDS.indexOf(reverse.rate) + 1, SPEEDS.length - 1)] : 1;
  video.pause();
  reverse = { rate, from: video.currentTime, since: performance.now() };
  showState();
  stepBackwards();
}

function stepBackwards() {
  if (!reverse || video.seeking) return;
  const time = reverse.from - (reverse.rate * (performance.now() - reverse.since)) / 1000;
  video.currentTime = Math.max(0, time);
  if (time <= 0) stopReverse();
}

function stopReverse() {
  reverse = null;
  showState();
}

async function seekFrame(frame) {
  const target = Math.min(Math.max(frame, 0), timeline.frames - 1);
  wanted = target;
  try {
    const time = await frames.middle(target);
    if (wanted === target) video.currentTime = time;
  } catch (error) {
    complain(error);
  }
}

const seek = (time) => {
  wanted = null;
  video.currentTime = Math.min(Math.max(time, 0), timeline.duration - 0.001);
};

function step(count) {
  pause();
  seekFrame((wanted ?? shown.frame) + count);
}

/** To the start of the stretch before or after this frame, of the chosen lane or of anybody. */
function appearance(direction) {
  const from = wanted ?? shown.frame;
  const startFrames = timeline.stretches
    .filter((one) => chosen === null || (one[2] ?? "nobody") === chosen)
    .map((one) => one[3]);
  const found = direction > 0 ? startFrames.find((frame) => frame > from) : startFrames.findLast((frame) => frame < from);
  if (found === undefined) {
    const who = chosen === null ? "" : ` of ${chosen === "nobody" ? "nobody" : nameOf(chosen)}`;
    toast(direction > 0 ? `No later appearance${who}.` : `No earlier appearance${who}.`);
  } else seekFrame(found);
}

function showState() {
  byId("play").textContent = video.paused && !reverse ? "Play" : "Pause";
  const rate = reverse ? -reverse.rate : video.playbackRate;
  byId("speed").textContent = `${rate}×`.replace("-", "−");
  byId("speed").hidden = rate === 1 || (video.paused && !reverse);
}

const linkHere = () => `${location.pathname}?frame=${shown.frame}`;

async function copyLink() {
  const link = new URL(linkHere(), location.href).href;
  history.replaceState(null, "", link);
  try {
    await navigator.clipboard.writeText(link);
    toast("The link to this frame is copied.");
  } catch {
    toast(`The address of this page leads to frame ${shown.frame} now.`);
  }
}

function toggleBoxes() {
  const on = overlay.classList.toggle("without");
  byId("boxes").setAttribute("aria-pressed", String(!on));
}

function toggleSound() {
  video.muted = !video.muted;
  byId("sound")?.setAttribute("aria-pressed", String(!video.muted));
}

// -- Who is when

const playhead = el("div", { class: "playhead", "aria-hidden": "true" });

function lanes() {
  const rows = new Map(timeline.people.map((one) => [one.id, []]));
  for (const one of timeline.stretches) {
    const key = one[2] ?? "nobody";
    if (!rows.has(key)) rows.set(key, []);
    rows.get(key).push(one);
  }
  const named = ([key]) => (key === "nobody" ? 2 : people.get(key)?.name ? 0 : 1);
  return [...rows].sort((one, other) => named(one) - named(other)); // in each group by time on screen, as they come
}

function drawLanes() {
  const rows = lanes();
  const place = byId("timeline");
  const { scrollLeft } = place;
  byId("nobody").hidden = rows.length > 0;
  const most = Math.max(3, Math.round(((place.clientWidth || 800) * zoom) / 110));
  const visible = allLanes ? rows : rows.slice(0, MOST_LANES);
  const inner = el(
    "div", { class: "lanes" },
    el("div", { class: "lane shots" }, el("span", { class: "lane-name soft" }, "Shots"), track(null, [], timeline.shots, most)),
    visible.map(([key, own]) => lane(key, own)),
    el("div", { class: "playhead-place" }, playhead),
  );
  inner.style.setProperty("--zoom", zoom);
  place.replaceChildren(inner);
  if (rows.length > visible.length || allLanes) {
    const text = allLanes ? "Show fewer" : `Show ${rows.length - visible.length} more`;
    if (rows.length > MOST_LANES)
      place.append(el("button", { type: "button", class: "quiet", on: { click: () => { allLanes = !allLanes; drawLanes(); } } }, text));
  }
  place.scrollLeft = scrollLeft;
  byId("zoom-out").disabled = zoom <= 1;
}

function lane(key, own) {
  const person = key === "nobody" ? null : key;
  const seconds = own.reduce((sum, one) => sum + one[6] - one[5], 0);
  const picture = person === null ? null : el("img", { class: "face tiny", src: `/pictures/person/${person}`, alt: "", loading: "lazy" });
  picture?.addEventListener("error", () => picture.setAttribute("hidden", ""));
  const name = el(
    "button",
    { type: "button", class: "lane-name quiet", "aria-pressed": String(chosen === key), "data-lane": key,
      title: `${nameOf(person)}: ${own.length} appearances, ${lasting(seconds)}. Choose to step through them with [ and ]`,
      on: { click: () => { chosen = chosen === key ? null : key; for (const one of byId("timeline").querySelectorAll("[data-lane]")) one.setAttribute("aria-pressed", String(one.dataset.lane === String(chosen))); } } },
    picture, el("span", { class: "lane-text" }, nameOf(person)), el("span", { class: "soft lane-time" }, lasting(seconds)),
  );
  return el("div", { class: "lane" }, name, track(person, own, []));
}

function track(person, own, marks, most = 0) {
  const place = el("div", { class: "lane-track" }, bars(timeline.duration, own.map((one) => [one[5], one[6]]), colourOf(person), marks));
  if (most) place.append(scale(timeline.duration, most));
  const timeAt = (event) => {
    const box = place.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * timeline.duration;
  };
  place.addEventListener("click", (event) => {
    pause();
    seek(timeAt(event));
  });
  place.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const time = timeAt(event);
    const there = own.length && own[lastAt(own.map((one) => one[5]), time)];
    const name = there && time < there[6] ? ` ${nameOf(person)}` : "";
    preview.show(event, `/pictures/frame/${at}/${frames.near(time)}?width=320`, `${clock(time)}${name}`);
  });
  place.addEventListener("pointerleave", () => preview.hide());
  return place;
}

function setZoom(value) {
  const place = byId("timeline");
  const middle = (place.scrollLeft + place.clientWidth / 2) / place.scrollWidth;
  zoom = Math.min(Math.max(value, 1), 64);
  drawLanes();
  place.scrollLeft = middle * place.scrollWidth - place.clientWidth / 2;
}

// -- A face

const dialog = byId("face-dialog");
let faceOf = null; // the stretch that the dialog is about, with the version of the index that it is of

function openFace(tracklet) {
  pause();
  if (!stretches.has(tracklet)) return;
  faceOf = { ...stretches.get(tracklet), version: timeline.version };
  const { person } = faceOf;
  const known = person === null ? null : people.get(person);
  byId("face-picture").src = `/pictures/face/${at}/t${tracklet}`;
  byId("face-title").textContent = person === null ? "Nobody yet" : nameOf(person);
  byId("face-when").textContent = `Face track ${tracklet}, ${clock(faceOf.start)} to ${clock(faceOf.end)}`;
  byId("face-person").hidden = person === null;
  byId("face-person").href = `/people/${person}`;
  byId("face-ask").href = `/ask?face=${at}/t${tracklet}`;
  byId("face-who").value = "";
  byId("face-scope").hidden = person === null;
  byId("scope-whole").textContent = known?.name ? `every face of ${known.name}` : `every face of ${nameOf(person)}`;
  dialog.querySelector(`[name=scope][value=${known?.name ? "track" : "whole"}]`).checked = true;
  byId("face-not").hidden = byId("face-split").hidden = person === null;
  byId("face-not").textContent = `Not ${nameOf(person)}`;
  byId("face-error").hidden = true;
  dialog.showModal();
  byId("face-who").focus();
}

async function decide(action, body = {}) {
  try {
    const { tracklet, version, person } = faceOf;
    const answer = await post(`/api/videos/${at}/faces/${tracklet}/${action}`, { ...body, version, person });
    dialog.close();
    toast(`${answer.message}.`, { undo: answer.decisions, onUndo: loadTimeline });
    await loadTimeline();
  } catch (error) {
    if (error.status === 409) {
      // What the dialog shows is no longer so.
      dialog.close();
      complain(error);
      await loadTimeline().catch(complain);
      return;
    }
    byId("face-error").textContent = error.message;
    byId("face-error").hidden = false;
  }
}

byId("face-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const whole = faceOf.person !== null && dialog.querySelector("[name=scope]:checked").value === "whole";
  decide("identify", { who: byId("face-who").value, whole });
});
byId("face-not").addEventListener("click", () => decide("reject"));
byId("face-split").addEventListener("click", () => decide("split"));
byId("face-close").addEventListener("click", () => dialog.close());
byId("face-picture").addEventListener("error", () => byId("face-picture").removeAttribute("src"));

// -- Controls

byId("play").addEventListener("click", toggle);
byId("back").addEventListener("click", () => step(-1));
byId("forward").addEventListener("click", () => step(1));
byId("previous").addEventListener("click", () => appearance(-1));
byId("next").addEventListener("click", () => appearance(1));
byId("link").addEventListener("click", copyLink);
byId("boxes").addEventListener("click", toggleBoxes);
byId("sound")?.addEventListener("click", toggleSound);
byId("help").addEventListener("click", showHelp);
byId("zoom-in").addEventListener("click", () => setZoom(zoom * 2));
byId("zoom-out").addEventListener("click", () => setZoom(zoom / 2));
byId("scrub").addEventListener("input", () => {
  stopReverse();
  seek(Number(byId("scrub").value));
});
video.addEventListener("click", toggle);
for (const event of ["play", "pause", "ratechange", "ended"]) video.addEventListener(event, showState);
video.addEventListener("pause", () => history.replaceState(null, "", linkHere()));
video.addEventListener("seeked", () => {
  if (reverse) stepBackwards();
  else if (video.paused) {
    history.replaceState(null, "", linkHere());
    // A frame that was shown between two callbacks gets none, and no other follows while the player stands still.
    requestAnimationFrame(() => requestAnimationFrame(drawPaused));
  }
});

function drawPaused() {
  if (video.paused && !video.seeking && video.readyState >= 2) draw(video.currentTime, false);
}

new ResizeObserver(() => draw(lastTime)).observe(stage);

keys({
  " ": [toggle, "play or pause"],
  j: [backwards, "play backwards; again: faster"],
  k: [pause, "pause"],
  l: [faster, "play; again: faster"],
  ",": [() => step(-1), "one frame back"],
  ".": [() => step(1), "one frame on"],
  ArrowLeft: [() => step(-1), "one frame back"],
  ArrowRight: [() => step(1), "one frame on"],
  "[": [() => appearance(-1), "previous appearance, of the chosen person or of anybody"],
  "]": [() => appearance(1), "next appearance"],
  Home: [() => seekFrame(0), "to the start"],
  End: [() => seekFrame(timeline.frames - 1), "to the end"],
  f: [() => byId("here").querySelector("button")?.focus(), "to the faces in this frame"],
  b: [toggleBoxes, "boxes on or off"],
  m: [toggleSound, "sound on or off"],
  c: [copyLink, "copy the link to this frame"],
});

/** Sets the source; a copy is made first where this browser does not play it. */
async function play() {
  const note = byId("note");
  const say = (text) => {
    note.textContent = text;
    note.hidden = !text;
  };
  try {
    await load(video, folder, {
      onWork: (text) => say(`This browser does not play this video; a copy is made: ${text}`),
    });
    say("");
  } catch (error) {
    say(error.name === "AbortError" ? "No copy was made; reload this page to try again." : error.message);
  }
}

async function begin() {
  stage.style.aspectRatio = `${view.dataset.width} / ${view.dataset.height}`;
  if (exact) video.requestVideoFrameCallback(onFrame);
  else requestAnimationFrame(onAnimation);
  const playing = play();
  await loadTimeline();
  await playing;
  const query = new URLSearchParams(location.search);
  const [frame, time] = [Number.parseInt(query.get("frame"), 10), Number.parseFloat(query.get("t"))];
  if (Number.isFinite(frame)) await seekFrame(frame);
  else if (Number.isFinite(time)) seek(time);
}

begin().catch(complain);
