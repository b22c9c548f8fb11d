/** The view Person: every appearance of somebody, what else may be them, and what can be decided. */

import { get, post } from "/static/lib/api.js";
import { cutOptions, watchCutOptions } from "/static/lib/cut_options.js";
import { confirmDialog } from "/static/lib/dialog.js";
import { el } from "/static/lib/dom.js";
import { follow } from "/static/lib/jobs.js";
import { keys } from "/static/lib/keys.js";
import { Preview, bars, colourOf } from "/static/lib/lanes.js";
import { showExports, showResult } from "/static/lib/result.js";
import { clock, count, lasting } from "/static/lib/time.js";
import { complain, toast } from "/static/lib/toast.js";

const byId = (id) => document.getElementById(id);
const view = byId("person-view");
const person = Number(view.dataset.person);
const title = view.dataset.title;
const api = `/api/people/${person}`;
const preview = new Preview(byId("preview"), byId("preview-picture"), byId("preview-text"));
const filters = { with: [], without: [] };
const momentLink = (folder, frame) => `/videos/${encodeURIComponent(folder)}?frame=${frame}`;
const facePicture = (folder, tracklet) => `/pictures/face/${encodeURIComponent(folder)}/t${tracklet}`;

// -- Faces

const chosen = new Map(); // by checkbox: faces as the server takes them

async function showFaces() {
  const { faces } = await get(`${api}/faces`);
  chosen.clear();
  showChosen();
  byId("faces").replaceChildren(
    ...faces.map((face) => {
      const where = `${face.video} at ${clock(face.time, 0)}`;
      const box = el("input", { type: "checkbox", "aria-label": `Choose the face in ${where}`, on: { change: () => { if (box.checked) chosen.set(box, face); else chosen.delete(box); showChosen(); } } });
      return el("li", {},
        el("a", { href: momentLink(face.folder, face.frame) }, el("img", { class: "face", src: facePicture(face.folder, face.tracklet), alt: `${title}, ${where}`, loading: "lazy" })),
        el("label", { class: "inline" }, box, el("span", { class: "soft" }, where)));
    }),
  );
  if (!faces.length) byId("faces").append(el("li", { class: "soft" }, "No clear face."));
}

function showChosen() {
  byId("face-actions").hidden = !chosen.size;
  byId("chosen").textContent = `${count(chosen.size, "face")} chosen`;
}

async function decide(action, faces) {
  try {
    const sent = faces.map(({ folder, tracklet, version }) => ({ folder, tracklet, version }));
    const answer = await post(`${api}/${action}`, { faces: sent });
    toast(`${answer.message}.`, { undo: answer.decisions, onUndo: showAll });
    await showAll();
  } catch (error) {
    complain(error);
    if (error.kind === "ChangedIndexError") await showAll().catch(complain);
  }
}

// -- What else may be this person

let nextPossible = null;

async function showPossible(first = 0) {
  const { candidates, note, next: following } = await get(`${api}/possible?first=${first}`);
  if (first === 0) {
    byId("possible-section").hidden = !candidates.length && !note;
    byId("possible-note").textContent = note || "Found by the faces above. Accepted or rejected once, it stays so.";
    byId("possible").replaceChildren();
  }
  nextPossible = following;
  byId("more-possible").hidden = following === null;
  byId("possible").append(
    ...candidates.map((one) => {
      const where = `${one.video}, ${clock(one.start)} to ${clock(one.end)}`;
      const item = el("li", { class: "card candidate" },
        el("a", { href: momentLink(one.folder, one.frame) }, el("img", { class: "face", src: facePicture(one.folder, one.tracklet), alt: `Possibly ${title}: ${where}`, loading: "lazy" })),
        el("div", {},
          el("p", {}, el("span", { class: one.sure ? "badge good" : "badge" }, one.sure ? "sure" : "possible"), ` ${where}`),
          el("p", { class: "soft" }, one.why),
          one.owner && el("p", { class: "soft" }, "Now ", el("a", { href: `/people/${one.owner.id}` }, one.owner.name)),
          el("div", { class: "row" },
            el("button", { type: "button", class: "primary", "aria-label": `Accept ${where}`, on: { click: () => decide("accept", one.faces) } }, `This is ${title}`),
            el("button", { type: "button", "aria-label": `Reject ${where}`, on: { click: () => decide("reject", one.faces) } }, "No"))));
      return item;
    }),
  );
}

// -- Appearances

let shownVideos = 0; // which answer is the newest
let next = null;

async function showVideos(first = 0) {
  const query = new URLSearchParams({ first });
  for (const kind of ["with", "without"]) for (const name of filters[kind]) query.append(kind, name);
  shownVideos += 1;
  const number = shownVideos;
  const page = await get(`${api}/videos?${query}`);
  if (number !== shownVideos) return;
  if (first === 0) byId("videos").replaceChildren();
  byId("videos").append(...page.videos.map(showVideo));
  for (const reason of page.unreadable) byId("videos").append(el("li", { class: "warn" }, reason));
  next = page.next;
  byId("more").hidden = next === null;
  const filtered = filters.with.length + filters.without.length > 0;
  byId("none").hidden = byId("videos").childElementCount > 0;
  byId("none").textContent = filtered ? `${title} is in no frame of that kind. Remove a filter to see more.` : `No indexed video shows ${title} any more.`;
}

function showVideo(video) {
  const place = el("div", { class: "lane-track" }, bars(video.duration, video.pieces.map((one) => [one[3], one[4]]), colourOf(person)));
  const pieceAt = (event) => {
    const box = place.getBoundingClientRect();
    const time = ((event.clientX - box.left) / box.width) * video.duration;
    const away = ([, , , start, end]) => Math.max(start - time, time - end, 0);
    return video.pieces.reduce((best, one) => (away(one) < away(best) ? one : best));
  };
  place.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const [, start, end, from, to] = pieceAt(event);
    preview.show(event, `/pictures/frame/${encodeURIComponent(video.folder)}/${Math.floor((start + end) / 2)}?width=320`, `${clock(from)} to ${clock(to)}`);
  });
  place.addEventListener("pointerleave", () => preview.hide());
  place.addEventListener("click", (event) => location.assign(momentLink(video.folder, pieceAt(event)[1])));
  const pieces = el("details", {},
    el("summary", {}, count(video.pieces.length, "appearance")),
    el("ul", { class: "plain pieces" }, video.pieces.map(([tracklet, frame, , start, end]) =>
      el("li", {},
        el("a", { href: momentLink(video.folder, frame) }, `${clock(start)} to ${clock(end)}`),
        el("button", { type: "button", class: "quiet", "aria-label": `Not ${title}: ${video.video}, ${clock(start)}`, on: { click: () => decide("reject", [{ ...video, tracklet }]) } }, `Not ${title}`),
        el("button", { type: "button", class: "quiet", "aria-label": `Split off: ${video.video}, ${clock(start)}`, on: { click: () => decide("split", [{ ...video, tracklet }]) } }, "Split off")))));
  return el("li", { class: "card" },
    el("div", { class: "row spread" },
      el("h3", {}, el("a", { href: momentLink(video.folder, video.pieces[0][1]) }, video.video)),
      el("span", { class: "soft" }, `${lasting(video.seconds)} of ${lasting(video.duration)}`)),
    place, pieces);
}

function showFilters() {
  byId("chips").replaceChildren(
    ...["with", "without"].flatMap((kind) => filters[kind].map((name) =>
      el("li", { class: "chip" }, `${kind} ${name}`,
        el("button", { type: "button", class: "quiet", "aria-label": `Remove ${kind} ${name}`, on: { click: () => { filters[kind] = filters[kind].filter((one) => one !== name); showFilters(); showVideos().catch(complain); } } }, "×")))),
  );
}

async function addFilter() {
  const name = byId("other").value.trim();
  const kind = byId("kind").value;
  if (!name || filters[kind].includes(name)) return;
  filters[kind].push(name);
  try {
    await showVideos();
    byId("other").value = "";
  } catch (error) {
    filters[kind].pop();
    complain(error);
  }
  showFilters();
}

// -- Name, hide, cut, forget

async function change(address, body, onUndo = () => location.reload()) {
  try {
    const answer = await post(address, body);
    toast(`${answer.message}.`, { undo: answer.decisions, onUndo });
    return answer;
  } catch (error) {
    complain(error);
    return null;
  }
}

async function rename() {
  const name = byId("name").value.trim();
  if (name === byId("title").textContent || !(await change(`${api}/name`, { name }))) return;
  byId("title").textContent = name;
}

async function hide() {
  const back = view.dataset.hidden === "yes";
  if (!(await change("/api/people/hide", { people: [person], back }))) return;
  view.dataset.hidden = back ? "no" : "yes";
  byId("hide").textContent = back ? "Hide" : "List again";
}

function askHowToCut() {
  const some = ["with", "without"].flatMap((kind) => filters[kind].map((name) => `${kind} ${name}`));
  byId("cut-filters").textContent = some.length ? `Only frames ${some.join(", ")}.` : "";
  byId("cut-dialog").showModal();
}

/** `action`: cut clips, or export files for other programs alone. */
async function start(action, overwrite = false) {
  const form = byId("cut-form");
  const body = { ...filters, ...cutOptions(form), possible: form.elements.possible.checked, overwrite };
  byId("cut-dialog").close();
  byId("cut").disabled = true;
  try {
    const { job } = await post(`${api}/${action}`, body);
    follow(job.id, (now) => ended(action, now, overwrite));
  } catch (error) {
    byId("cut").disabled = false;
    refused(action, error, overwrite);
  }
}

function ended(action, job, overwrite) {
  if (!["done", "failed", "cancelled"].includes(job.state)) return;
  byId("cut").disabled = false;
  if (job.state === "failed" && job.error.kind === "ResultExistsError") refused(action, job.error, overwrite);
  if (job.state !== "done") return;
  if (action === "cut") showResult(byId("result"), job.result);
  else showExports(byId("result"), job.result);
}

/** Files that are there are replaced once the user has agreed. */
async function refused(action, error, overwrite) {
  if (error.kind !== "ResultExistsError" || overwrite) complain(error);
  else if (await confirmDialog({ title: "Replace the old result?", text: error.message, agree: "Replace", danger: true })) start(action, true);
}

let plan = null;

async function askForget() {
  try {
    plan = await get(`${api}/forget-plan`);
  } catch (error) {
    complain(error);
    return;
  }
  const row = (one) => el("li", {},
    one.first !== null && el("img", { class: "face tiny", src: facePicture(one.folder, one.first), alt: "" }),
    el("span", {}, `${one.video}: ${count(one.tracklets, "face track")}, ${lasting(one.seconds)}, ${count(one.crops, "stored crop")}`));
  byId("forget-title").textContent = `Forget ${plan.person}?`;
  byId("forget-plan").replaceChildren(
    el("p", {}, plan.matching.length ? "Removed from the library, with name and decisions:" : "No face is stored; name and decisions are removed."),
    el("ul", { class: "plain forget-list" }, plan.matching.map(row)),
    plan.weaker.length ? el("p", {}, "Less alike; may be the same person:") : "",
    el("ul", { class: "plain forget-list" }, plan.weaker.map(row)),
    ...plan.skipped.map((one) => el("p", { class: "warn" }, `${one.video} is not searched: ${one.reason}`)),
    plan.results.length ? el("p", { class: "warn" }, `These results show ${title} and stay: ${plan.results.join(", ")}`) : "",
    plan.datasets.length ? el("p", { class: "warn" }, `These parts of data sets show ${title} and stay: ${plan.datasets.join(", ")}`) : "",
    plan.exports.length ? el("p", { class: "warn" }, `These exports may name ${title} and stay: ${plan.exports.join(", ")}`) : "",
    plan.unfinished ? el("p", { class: "warn" }, `${count(plan.unfinished, "interrupted run")} of indexing will be deleted too.`) : "",
    plan.being_indexed ? el("p", { class: "warn" }, `${count(plan.being_indexed, "video")} being indexed may show ${title} again afterwards.`) : "",
  );
  byId("weaker-label").hidden = !plan.weaker.length;
  byId("weaker").checked = false;
  byId("weaker-text").textContent = "Remove these too";
  byId("forget-dialog").showModal();
  byId("forget-cancel").focus();
}

async function forget() {
  byId("forget-dialog").close();
  try {
    const { job } = await post(`${api}/forget`, { plan: plan.plan, also_weaker: byId("weaker").checked });
    follow(job.id, (now) => {
      if (now.state === "cancelled") toast("Nothing was removed: forgetting was cancelled.");
      if (now.state !== "done") return;
      const { busy, remaining, forgotten, indexed_since: since, being_indexed: running } = now.result;
      const rest = [
        busy.length && `Not everything could be removed: ${busy.join(", ")} is in use. Try again.`,
        since.length && `Indexed meanwhile, and may show ${title}: ${since.join(", ")}. Forget ${title} again.`,
        running && `${count(running, "video")} being indexed may show ${title}.`,
        remaining && `Less alike faces stay in ${count(remaining, "video")}.`,
        !forgotten && "Name and decisions stay.",
      ].filter(Boolean);
      if (busy.length || since.length || running) toast(rest.join(" "), { kind: "error" });
      else location.assign("/people");
    });
  } catch (error) {
    complain(error);
  }
}

// -- Everything

async function showAll() {
  await Promise.all([showFaces(), showVideos()]);
  await showPossible();
}

byId("seconds").textContent = lasting(Number(byId("seconds").dataset.seconds));
byId("portrait").addEventListener("error", () => byId("portrait").setAttribute("hidden", ""));
byId("naming").addEventListener("submit", (event) => {
  event.preventDefault();
  rename();
});
byId("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  addFilter();
});
byId("more").addEventListener("click", () => showVideos(next).catch(complain));
byId("more-possible").addEventListener("click", () => showPossible(nextPossible).catch(complain));
byId("not-this").addEventListener("click", () => decide("reject", [...chosen.values()]));
byId("split").addEventListener("click", () => decide("split", [...chosen.values()]));
byId("hide").addEventListener("click", hide);
byId("cut").addEventListener("click", askHowToCut);
byId("cut-cancel").addEventListener("click", () => byId("cut-dialog").close());
byId("cut-form").addEventListener("submit", (event) => {
  event.preventDefault();
  start("cut");
});
byId("export").addEventListener("click", () => start("export"));
watchCutOptions(byId("cut-form"), () => { byId("export").disabled = !cutOptions(byId("cut-form")).export.length; });
byId("export").disabled = !cutOptions(byId("cut-form")).export.length;
byId("forget").addEventListener("click", askForget);
byId("forget-cancel").addEventListener("click", () => byId("forget-dialog").close());
byId("forget-agree").addEventListener("click", forget);
keys({ n: [() => byId("name").select(), "name this person"], f: [() => byId("other").focus(), "filter by somebody else"] });
showAll().catch(complain);
