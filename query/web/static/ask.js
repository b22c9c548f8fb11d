/** Ask: photos and filters on one side, matches to look at, tick and cut on the other. */

import { post, upload } from "/static/lib/api.js";
import { cutOptions, watchCutOptions } from "/static/lib/cut_options.js";
import { confirmDialog } from "/static/lib/dialog.js";
import { el, svg } from "/static/lib/dom.js";
import { cancel, follow } from "/static/lib/jobs.js";
import { keys } from "/static/lib/keys.js";
import { playMoment } from "/static/lib/moment.js";
import { showResult } from "/static/lib/result.js";
import { clock, count, lasting } from "/static/lib/time.js";
import { complain, toast } from "/static/lib/toast.js";

const PAGE = 60; // matches that are drawn at once
const ENDED = ["done", "failed", "cancelled"];
const $ = (id) => document.getElementById(id);
const root = $("ask");

// What is asked: photos, each with the number of the face that is meant; or a face of the library; and filters.
const question = { photos: [], start: null, with: [], without: [], not: [] };
let answer = null; // the last one
let ticked = new Set(); // numbers of its matches
let playing = null; // the moment that plays, with its row
let asking = null; // aborts the request on its way
let job = null; // that cuts

if (root) begin();

function begin() {
  $("file").addEventListener("change", (event) => addPhotos([...event.target.files], true));
  $("add-photo").addEventListener("click", () => {
    const input = el("input", { type: "file", accept: $("file").accept, multiple: true });
    input.addEventListener("change", () => addPhotos([...input.files], false));
    input.click();
  });
  $("new-question").addEventListener("click", () => location.assign("/ask"));
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) addPhotos(files, true);
  });
  listenForDrops();
  listenForFilters();
  listenForCutting();
  keys({
    o: [() => $("file").click(), "choose a photo"],
    a: [() => tick(answer?.matches.filter((match) => match.certainty === "sure")), "tick all that are sure"],
    x: [() => tick([]), "tick none"],
    c: [() => $("cut").focus(), "go to Cut"],
  });
  if ($("data")) {
    question.start = JSON.parse($("data").textContent);
    showPhotos();
    ask();
  }
}

// -- Photos

function listenForDrops() {
  const drop = $("drop");
  let depth = 0;
  const holdsFiles = (event) => [...event.dataTransfer.types].includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    depth += 1;
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) drop.classList.remove("over");
  });
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    drop.classList.remove("over");
    addPhotos([...event.dataTransfer.files], true);
  });
}

/** Reads photos; those of a new question replace what was asked. */
async function addPhotos(files, anew) {
  $("file").value = "";
  if (!files.length) return;
  say(files.length === 1 ? `Looking for faces in ${files[0].name} …` : `Looking for faces in ${files.length} photos …`);
  const read = [];
  for (const file of files) {
    try {
      read.push(await sendPhoto(file));
    } catch (error) {
      complain(error);
      if (files.length === 1 && !answer) say(sentence(error.message), "bad");
    }
  }
  if (!read.length) {
    if (answer) describe();
    return;
  }
  if (anew) {
    for (const photo of question.photos) post(`/api/ask/photos/${photo.id}/drop`).catch(() => {});
    question.photos = [];
    question.start = null;
  }
  question.photos.push(...read.map((photo) => ({ ...photo, face: 1 })));
  showPhotos();
  ask();
}

function sendPhoto(file) {
  // Of some kinds of photo the browser does not know the type.
  const body = file.type.startsWith("image/") ? file : new Blob([file], { type: "application/octet-stream" });
  return upload(`/api/ask/photo?name=${encodeURIComponent(file.name || "photo")}`, body);
}

function showPhotos() {
  const list = $("photos");
  list.replaceChildren();
  if (question.start) list.append(startCard());
  for (const photo of question.photos) list.append(photoCard(photo));
  const some = question.photos.length > 0 || question.start !== null;
  $("drop").classList.toggle("small", some);
  $("photo-buttons").hidden = !some;
  $("add-photo").hidden = question.start !== null;
  if ($("anybody")) $("anybody").hidden = some;
}

function startCard() {
  const { title, picture } = question.start;
  return el("li", { class: "card photo row" }, el("img", { class: "face small", src: picture, alt: "" }),
    el("strong", {}, title));
}

function photoCard(photo) {
  const many = photo.faces.length > 1;
  const picture = el("div", { class: "photo-picture" }, el("img", { src: photo.picture, alt: `Photo ${photo.name}` }));
  photo.faces.forEach((face, place) => {
    const [x, y, w, h] = face.box;
    const button = el("button", {
      type: "button", class: "photo-face", "aria-pressed": String(photo.face === place + 1),
      "aria-label": `Face ${place + 1} of ${photo.faces.length}`,
      on: { click: () => chooseFace(photo, place + 1) },
    });
    button.disabled = !many;
    Object.assign(button.style, {
      left: `${(100 * x) / photo.width}%`, top: `${(100 * y) / photo.height}%`,
      width: `${(100 * w) / photo.width}%`, height: `${(100 * h) / photo.height}%`,
    });
    picture.append(button);
  });
  const choices = many
    ? el("div", { class: "photo-choices", role: "group", "aria-label": `Faces found in ${photo.name}` },
        photo.faces.map((face, place) => faceChoice(photo, face, place + 1)))
    : null;
  const remove = el("button", {
    type: "button", class: "quiet", "aria-label": `Remove ${photo.name}`, on: { click: () => removePhoto(photo) },
  }, "Remove");
  return el("li", { class: "card photo" }, picture,
    el("div", { class: "row spread" }, el("span", { class: "photo-name" }, photo.name), remove),
    many ? el("p", { class: "soft" }, `${photo.faces.length} faces; choose who is meant:`) : null, choices,
    photo.faces[photo.face - 1].warnings.map((text) => el("p", { class: "warn" }, `${sentence(text)}`)));
}

/** A face of a photo as a button with its picture, which is cut out of the whole by the view box. */
function faceChoice(photo, face, number) {
  const [x, y, w, h] = face.box;
  const side = 1.5 * Math.max(w, h);
  const picture = svg("svg", {
    viewBox: `${x + w / 2 - side / 2} ${y + h / 2 - side / 2} ${side} ${side}`, "aria-hidden": "true",
  }, svg("image", { href: photo.picture, width: photo.width, height: photo.height, preserveAspectRatio: "none" }));
  return el("button", {
    type: "button", class: "choice", "aria-pressed": String(photo.face === number), "aria-label": `Face ${number}`,
    on: { click: () => chooseFace(photo, number) },
  }, picture);
}

function chooseFace(photo, number) {
  if (photo.face === number) return;
  photo.face = number;
  showPhotos();
  document.querySelector('.choice[aria-pressed="true"]')?.focus();
  ask();
}

function removePhoto(photo) {
  post(`/api/ask/photos/${photo.id}/drop`).catch(() => {});
  question.photos = question.photos.filter((other) => other !== photo);
  showPhotos();
  if (question.photos.length) ask();
  else {
    asking?.abort();
    answer = null;
    clearAnswer();
    say("Drop a photo of somebody, and everywhere they are seen is listed here.");
  }
  $("file").focus();
}

// -- Filters

function listenForFilters() {
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["with", "without", "not"]) {
    const add = () => {
      const word = $(kind).value.trim();
      if (!word) return;
      $(kind).value = "";
      addFilter(kind, { text: word, value: word });
    };
    document.querySelector(`[data-add="${kind}"]`).addEventListener("click", add);
    $(kind).addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), add()));
  }
  $("not-file").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    try {
      const photo = await sendPhoto(file);
      addFilter("not", { text: photo.name, value: { photo: photo.id, face: 1 } });
    } catch (error) {
      complain(error);
    }
  });
  for (const id of ["video", "min-duration"]) $(id).addEventListener("change", ask);
}

function addFilter(kind, filter) {
  question[kind].push(filter);
  showFilters(kind);
  ask();
}

function showFilters(kind) {
  const chips = document.querySelector(`[data-kind="${kind}"] .chips`);
  chips.replaceChildren(
    ...question[kind].map((filter) =>
      el("li", {}, el("button", {
        type: "button", class: "chip", "aria-label": `Remove ${filter.text}`,
        on: {
          click: () => {
            question[kind] = question[kind].filter((other) => other !== filter);
            showFilters(kind);
            $(kind).focus();
            ask();
          },
        },
      }, filter.text, el("span", { "aria-hidden": "true" }, "×"))),
    ),
  );
}

// -- The answer

async function ask() {
  if (!question.photos.length && !question.start) return;
  asking?.abort();
  asking = new AbortController();
  const words = {
    faces: question.photos.map((photo) => ({ photo: photo.id, face: photo.face })),
    person: question.start?.person, face: question.start?.face, version: question.start?.version,
    videos: $("video").value ? [$("video").value] : [],
    min_duration: Number($("min-duration").value) || 0,
  };
  for (const kind of ["with", "without", "not"]) words[kind] = question[kind].map((filter) => filter.value);
  say("Searching …");
  $("matches").setAttribute("aria-busy", "true");
  try {
    answer = await post("/api/ask/answers", words, { signal: asking.signal });
  } catch (error) {
    if (error.name === "AbortError") return;
    answer = null;
    clearAnswer();
    say(sentence(error.message), "bad");
    return;
  } finally {
    $("matches").removeAttribute("aria-busy");
  }
  ticked = new Set(answer.matches.filter((match) => match.certainty === "sure").map((match) => match.number));
  $("name").value = answer.name;
  showAnswer();
}

function clearAnswer() {
  stopPlaying();
  $("matches").replaceChildren();
  $("warnings").replaceChildren();
  $("cutting").hidden = true;
  $("result").hidden = true;
}

function showAnswer() {
  clearAnswer();
  describe();
  $("warnings").append(
    ...answer.warnings.map((text) => el("p", { class: "warn" }, sentence(text))),
    ...answer.skipped.map((item) => el("p", { class: "warn" }, `Not searched: ${item.reason}`)),
  );
  const sure = answer.matches.filter((match) => match.certainty === "sure");
  const possible = answer.matches.filter((match) => match.certainty !== "sure");
  const sections = [];
  if (sure.length) {
    sections.push(section("Sure", "No stranger is expected among these.", sure, matchRow));
  }
  if (possible.length) {
    sections.push(section("Possible", "May be somebody else: look, and tick those that are right.", possible, matchRow));
  }
  if (answer.near_misses.length) {
    const rows = el("details", { class: "near" },
      el("summary", {}, `${count(answer.near_misses.length, "near miss", "near misses")}, with reasons`),
      section(null, null, answer.near_misses, missRow));
    sections.push(rows);
  }
  $("matches").append(...sections);
  $("cutting").hidden = !answer.matches.length;
  onTick();
}

/** The sentence on top: what was found, or what to do now. */
function describe() {
  const sure = answer.matches.filter((match) => match.certainty === "sure");
  const possible = answer.matches.length - sure.length;
  const where = count(answer.videos, "video");
  const short = answer.too_short ? ` ${count(answer.too_short, "match is", "matches are")} shorter than asked for.` : "";
  if (!answer.matches.length) {
    const near = answer.near_misses.length ? " The near misses below say why not." : " Another photo, from the front and larger, may find more.";
    say(`Nobody in ${where} matches.${near}${short}`, "none");
    return;
  }
  const seconds = sure.reduce((sum, match) => sum + match.end - match.start, 0);
  const videos = new Set(sure.map((match) => match.folder)).size;
  const parts = [];
  if (sure.length) parts.push(`${count(sure.length, "match", "matches")} in ${count(videos, "video")}, ${lasting(seconds)}`);
  if (possible) parts.push(`${possible.toLocaleString("en")} possible`);
  say(`${parts.join("; ")}. Searched ${where}.${short}`);
}

function section(title, text, matches, row) {
  const list = el("ol", { class: "plain cuts" });
  let drawn = 0;
  const more = el("button", { type: "button", on: { click: draw } });
  function draw() {
    const first = drawn;
    for (const match of matches.slice(drawn, drawn + PAGE)) {
      if (drawn === 0 || matches[drawn - 1].folder !== match.folder) {
        list.append(el("li", { class: "video-name" }, el("h3", {}, match.video)));
      }
      list.append(row(match));
      drawn += 1;
    }
    more.hidden = drawn >= matches.length;
    more.textContent = `Show ${Math.min(PAGE, matches.length - drawn)} more of ${matches.length - drawn}`;
    if (first) list.querySelectorAll(".cut")[first]?.querySelector("input, button")?.focus();
  }
  draw();
  const all = row === matchRow && matches.length > 1
    ? el("button", { type: "button", class: "quiet", on: { click: () => toggleAll(matches) } }, "Tick or untick all")
    : null;
  const head = title ? el("div", { class: "row spread" }, el("h2", {}, `${title} `, el("span", { class: "badge" }, matches.length.toLocaleString("en"))), all) : null;
  return el("section", { class: "group" }, head, text ? el("p", { class: "soft" }, text) : null, list, more);
}

function matchRow(match) {
  const box = el("input", {
    type: "checkbox", "data-number": match.number, "aria-label": `Cut ${match.video} at ${clock(match.start)}`,
    on: {
      change: () => {
        if (box.checked) ticked.add(match.number);
        else ticked.delete(match.number);
        onTick();
      },
    },
  });
  box.checked = ticked.has(match.number);
  const strangers = match.stranger_share === null ? null
    : el("span", { class: "badge" }, `${Math.round(100 * match.stranger_share)} % strangers down to here`);
  const matched = { cluster: "by the same person's other faces", decision: "you said so", photo: null }[match.matched];
  const row = cutRow(match, box, strangers, matched ? el("span", { class: "soft" }, matched) : null);
  row.dataset.match = match.number;
  if (answer.person) row.querySelector(".cut-text").append(decisions(match, answer.person));
  return row;
}

/** What can be said for good of a match: it is the person, or it is not. */
function decisions(match, person) {
  const where = `${match.video} at ${clock(match.start)}`;
  const button = (action, text) => el("button", {
    type: "button", class: "quiet", "aria-label": `${text}: ${where}`, on: { click: () => decide(action, match, person) },
  }, text);
  return el("span", { class: "row decisions" },
    match.certainty === "sure" ? null : button("accept", `This is ${person.title}`), button("reject", `Not ${person.title}`));
}

async function decide(action, match, person) {
  const faces = [{ folder: match.folder, tracklet: match.tracklet, version: match.version }];
  try {
    const change = await post(`/api/people/${person.id}/${action}`, { faces });
    toast(`${change.message}.`, { undo: change.decisions, onUndo: askAgain });
    await askAgain();
  } catch (error) {
    complain(error);
    if (error.kind === "ChangedIndexError") await askAgain();
  }
}

/** Asks the same; what was ticked and unticked stays so, as far as it is still there. */
async function askAgain() {
  const key = (match) => `${match.folder}/${match.tracklet}/${match.frame}`;
  const before = new Map((answer?.matches ?? []).map((match) => [key(match), ticked.has(match.number)]));
  await ask();
  if (answer) tick(answer.matches.filter((match) => before.get(key(match)) ?? match.certainty === "sure"));
}

const missRow = (miss) => cutRow(miss, null, el("span", { class: "why" }, sentence(miss.why)));

function cutRow(match, box, ...notes) {
  const from = clock(match.start);
  const picture = el("img", {
    class: "face small", alt: "", loading: "lazy",
    src: `/pictures/face/${encodeURIComponent(match.folder)}/t${match.tracklet}`,
  });
  // A face track without a usable crop has no picture.
  picture.addEventListener("error", () => picture.classList.add("missing"));
  const play = el("button", {
    type: "button", class: "play", "aria-expanded": "false", "aria-label": `Play ${match.video} at ${from}`,
    on: { click: () => togglePlaying(row, play, match) },
  }, picture, el("span", { class: "play-mark", "aria-hidden": "true" }, "▶"));
  const row = el("li", { class: "cut" },
    box ? el("span", { class: "tick" }, box) : null, play,
    el("div", { class: "cut-text" },
      el("a", {
        class: "cut-time", title: "Open in the video",
        href: `/videos/${encodeURIComponent(match.folder)}?t=${match.start.toFixed(3)}`,
      }, `${from} – ${clock(match.end)}`),
      el("span", { class: "soft" }, lasting(match.end - match.start)),
      meter(match), notes));
  return row;
}

/** How similar, against what had to be reached. */
function meter(match) {
  const text = `similarity ${match.similarity.toFixed(2)}, sure from ${match.threshold.toFixed(2)}`;
  const bar = svg("svg", { viewBox: "0 0 100 8", class: "meter", role: "img", "aria-label": text, preserveAspectRatio: "none" },
    svg("rect", { width: 100, height: 8, class: "meter-ground" }),
    svg("rect", { width: Math.max(0, Math.min(100, 100 * match.similarity)), height: 8, class: "meter-value" }),
    svg("rect", { x: 100 * match.threshold - 0.75, width: 1.5, height: 8, class: "meter-mark" }));
  return el("span", { class: "similar", title: text }, bar, match.similarity.toFixed(2));
}

// -- Looking at a match

async function togglePlaying(row, play, match) {
  const same = playing?.row === row;
  stopPlaying();
  if (same) return;
  const current = { row, play, match, moment: null };
  playing = current;
  play.setAttribute("aria-expanded", "true");
  const crops = match.number === undefined ? null : await cropsOf(match);
  if (playing !== current) return;
  current.moment = playMoment(match, { crops });
  row.append(current.moment.element);
  row.scrollIntoView({ block: "nearest" });
}

function stopPlaying() {
  if (!playing) return;
  playing.moment?.stop();
  playing.moment?.element.remove();
  playing.play.setAttribute("aria-expanded", "false");
  playing = null;
}

/** What would be cut of each frame; null for the whole picture, and where it cannot be had. */
async function cropsOf(match) {
  const { crop, aspect } = choice();
  if ((crop === "none" || crop === null) && !aspect) return null;
  try {
    return (await post(`/api/ask/answers/${answer.id}/crops`, { ...choice(), chosen: [match.number] })).frames;
  } catch {
    return null;
  }
}

// -- Cutting

function listenForCutting() {
  $("cutting").addEventListener("submit", (event) => {
    event.preventDefault();
    cut();
  });
  watchCutOptions($("cutting"), (name) => {
    onTick();
    if (!playing || !["crop", "size", "aspect", "file"].includes(name)) return;
    const { row, play, match } = playing;
    stopPlaying();
    togglePlaying(row, play, match);
  });
  $("name").addEventListener("change", onTick);
  $("command-box").addEventListener("toggle", showCommand);
  $("copy").addEventListener("click", copyCommand);
  $("work-cancel").addEventListener("click", () => job && cancel(job));
}

const choice = () => ({ ...cutOptions($("cutting")), chosen: [...ticked], name: $("name").value.trim() });

function tick(matches) {
  if (!answer) return;
  ticked = new Set(matches.map((match) => match.number));
  for (const box of document.querySelectorAll("[data-number]")) box.checked = ticked.has(Number(box.dataset.number));
  onTick();
}

function toggleAll(matches) {
  const all = matches.every((match) => ticked.has(match.number));
  const others = answer.matches.filter((match) => ticked.has(match.number) && !matches.includes(match));
  tick(all ? others : [...others, ...matches]);
}

function onTick() {
  if (!answer) return; // clips are still cut of one whose photo was removed
  const matches = answer.matches.filter((match) => ticked.has(match.number));
  const seconds = matches.reduce((sum, match) => sum + match.end - match.start, 0);
  $("cut").textContent = matches.length ? `Cut ${count(matches.length, "clip")}, ${lasting(seconds)}` : "Cut";
  $("cut").disabled = !matches.length || job !== null;
  $("cut-error").hidden = true;
  showCommand();
}

let commands = 0; // which command was asked for last: an answer to an earlier question may come after it

async function showCommand() {
  if (!$("command-box").open || !answer) return;
  commands += 1;
  const number = commands;
  try {
    const { command, has_photos } = await post(`/api/ask/answers/${answer.id}/command`, choice());
    if (number !== commands) return;
    $("command").textContent = command;
    $("command-hint").textContent = has_photos ? "Run it where the photos are." : "";
  } catch (error) {
    if (number !== commands) return;
    $("command").textContent = "";
    $("command-hint").textContent = sentence(error.message);
  }
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText($("command").textContent);
    toast("The command is in the clipboard");
  } catch {
    getSelection().selectAllChildren($("command"));
    toast("Press Ctrl+C to copy the marked command");
  }
}

async function cut(overwrite = false) {
  if (!answer || job !== null) return;
  $("cut-error").hidden = true;
  try {
    const started = await post(`/api/ask/answers/${answer.id}/cut`, { ...choice(), overwrite });
    job = started.job.id;
  } catch (error) {
    if (error.kind !== "ResultExistsError" || overwrite) showCutError(error);
    else if (await confirmDialog({ title: "Replace the old result?", text: sentence(error.message), agree: "Replace", danger: true })) cut(true);
    return;
  }
  $("work").hidden = false;
  $("result").hidden = true;
  onTick();
  follow(job, onJob);
}

function showCutError(error) {
  $("cut-error").textContent = sentence(error.message);
  $("cut-error").hidden = false;
}

function onJob(now) {
  $("work-text").textContent = now.state === "queued" ? "Waiting for other work …" : `Cutting ${now.done} of ${now.total}`;
  if (now.total > 0) Object.assign($("work-bar"), { max: now.total, value: now.done });
  else $("work-bar").removeAttribute("value");
  if (!ENDED.includes(now.state)) return;
  job = null;
  $("work").hidden = true;
  onTick();
  if (now.state === "cancelled") toast("Cancelled; nothing was written");
  else if (now.state === "failed") showCutError(Object.assign(new Error(now.error.message), now.error));
  else showResult($("result"), now.result);
}

// -- Words

function say(text, kind = "") {
  $("status").textContent = text;
  $("status").className = `status ${kind}`;
}

/** A message of the server as a sentence. */
function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
