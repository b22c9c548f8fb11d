/** Review: one question at a time; an answer is a decision, and the next question is there at once. */

import { get, post } from "/static/lib/api.js";
import { el } from "/static/lib/dom.js";
import { keys } from "/static/lib/keys.js";
import { playMoment } from "/static/lib/moment.js";
import { clock, count, lasting } from "/static/lib/time.js";
import { complain } from "/static/lib/toast.js";

const $ = (id) => document.getElementById(id);
let state = null; // what the server said last
let moment = null; // that plays
let busy = false; // one answer at a time, however fast the keys come
const given = []; // answers of this visit, the last one last
let joined = 0; // people who became one
let gained = 0; // seconds

if ($("question")) begin();

async function begin() {
  for (const button of document.querySelectorAll("[data-answer]")) {
    button.addEventListener("click", () => answer(button.dataset.answer));
  }
  for (const id of ["undo", "undo-last"]) $(id).addEventListener("click", undo);
  $("again").addEventListener("click", () => change(() => post("/api/review/again"), "The skipped questions come again"));
  keys({
    y: [() => answer("same"), "yes, the same person"],
    n: [() => answer("different"), "no, two people"],
    s: [() => answer("skip"), "skip: not asked again before you ask for skipped ones"],
    i: [() => answer("ignore"), "ignore: hide the candidate from lists and questions"],
    u: [undo, "undo the last answer"],
    " ": [pause, "play or pause"],
  });
  await change(() => get("/api/review/questions"), "");
}

/** Does something that gives the next questions, and shows them. */
async function change(run, message) {
  if (busy) return;
  busy = true;
  document.body.setAttribute("aria-busy", "true");
  try {
    const next = await run();
    if (next.questions) state = next;
    say(message || next.message || "");
    show();
  } catch (error) {
    complain(error);
    // Somebody may have changed the people meanwhile, in another tab.
    if (error.status === 400 || error.status === 404 || error.status === 409) {
      state = await get("/api/review/questions").catch(() => state);
      if (state) show();
    }
  } finally {
    busy = false;
    document.body.removeAttribute("aria-busy");
  }
}

async function answer(word) {
  const question = state?.questions[0];
  if (!question) return;
  const { person, other } = question;
  await change(async () => {
    const next = await post("/api/review/answer", { person: person.id, other: other.id, answer: word });
    given.push({ word, person, other, decisions: next.decisions });
    if (word === "same") {
      joined += 1;
      gained += other.seconds;
    }
    return next;
  });
}

async function undo() {
  const last = given.at(-1);
  if (!last) {
    if (!busy) say("There is no answer of this visit to undo");
    return;
  }
  await change(async () => {
    const pair = { person: last.person.id, other: last.other.id };
    if (last.word === "skip") await post("/api/review/again", pair);
    else await post("/api/undo", { decisions: last.decisions });
    given.pop();
    if (last.word === "same") {
      joined -= 1;
      gained -= last.other.seconds;
    }
    return get("/api/review/questions");
  }, `Undone: ${{ same: "the same", different: "different", skip: "skipped", ignore: "ignored" }[last.word]}, ${last.other.title}`);
}

function pause() {
  const video = moment?.element.querySelector("video");
  if (!video) return;
  if (video.paused) video.play().catch(() => {});
  else video.pause();
}

function show() {
  moment?.stop();
  moment = null;
  const question = state.questions[0];
  $("question").hidden = !question;
  $("done").hidden = Boolean(question);
  $("open").hidden = !question;
  $("open").textContent = count(state.open, "question");
  $("again").hidden = !state.skipped;
  $("again").textContent = `Ask ${count(state.skipped, "skipped question")} again`;
  $("undo").disabled = !given.length;
  $("undo-last").hidden = !given.length;
  if (!question) {
    $("done-text").textContent = summary() || "Nobody in the library may be somebody else. New videos bring new questions.";
    return;
  }
  const { person, other } = question;
  const moved = document.activeElement?.closest?.(".answers") === null && document.activeElement !== document.body;
  $("question-title").textContent = person.named ? `Is this ${person.title}?` : "Are these one person?";
  fill($("left"), person, false);
  fill($("right"), other, true);
  const videos = other.videos > 1 ? ` in ${other.videos} videos` : "";
  const likely = `${Math.round(100 * question.likelihood)} % likely`;
  $("gain").textContent = `If so, ${person.title} gains ${lasting(other.seconds)}${videos} (now ${lasting(person.seconds)} in ${count(person.videos, "video")}). ${likely} by similarity.`;
  if (moved) $("question-title").focus();
  preload(state.questions[1]);
}

/** One of the two: the best face, when and where, and more faces to compare; the candidate's moment plays. */
function fill(side, person, plays) {
  const [first] = person.moments;
  side.replaceChildren(
    el("header", { class: "row spread" }, el("h3", {}, el("a", { href: `/people/${person.id}` }, person.title)),
      el("span", { class: "soft" }, `${lasting(person.seconds)}, ${count(person.videos, "video")}`)));
  const stage = el("div", { class: "stage" });
  const where = el("p", { class: "soft where" });
  const choose = (at, button) => {
    for (const one of strip.querySelectorAll("button")) one.setAttribute("aria-pressed", String(one === button));
    where.textContent = `${at.video} at ${clock(at.time)}`;
    if (plays) {
      moment?.stop();
      moment = playMoment(at, { label: `${person.title} in ${at.video}, ${clock(at.start)} to ${clock(at.end)}` });
      stage.replaceChildren(moment.element);
    } else stage.replaceChildren(portrait(at, person));
  };
  const strip = el("div", { class: "strip", role: "group", "aria-label": `Faces of ${person.title}` },
    person.moments.map((at) => {
      const button = el("button", {
        type: "button", "aria-pressed": "false", "aria-label": `${at.video} at ${clock(at.time)}`,
        on: { click: () => choose(at, button) },
      }, el("img", { class: "face", src: face(at), alt: "" }));
      return button;
    }));
  side.append(stage, where, strip);
  if (first) choose(first, strip.querySelector("button"));
  else stage.append(el("p", { class: "soft" }, "There is no picture of this person."));
}

const face = (at) => `/pictures/face/${encodeURIComponent(at.folder)}/t${at.tracklet}`;
const frame = (at) => `/pictures/frame/${encodeURIComponent(at.folder)}/${at.frame}?width=640`;

/** The whole frame with the face in it, so that clothes and hair help, and the face alone. */
function portrait(at, person) {
  const picture = el("img", { class: "face big", src: face(at), alt: `${person.title}, ${at.video} at ${clock(at.time)}` });
  const whole = el("img", { class: "whole", src: frame(at), alt: "" });
  // The video may be gone; the face is stored.
  whole.addEventListener("error", () => whole.remove());
  return el("div", { class: "portrait" }, whole, picture);
}

function preload(question) {
  if (!question) return;
  for (const person of [question.person, question.other]) {
    for (const at of person.moments) new Image().src = face(at);
    if (person.moments[0]) new Image().src = frame(person.moments[0]);
  }
}

function summary() {
  if (!given.length) return "";
  const gain = joined ? ` ${count(joined, "person", "people")} joined, ${lasting(gained)} gained.` : "";
  return `${count(given.length, "answer")} in this visit.${gain}`;
}

function say(message) {
  $("said").textContent = [message && `${message}.`, summary()].filter(Boolean).join(" ");
}
