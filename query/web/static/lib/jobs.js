/** Long work: the tray at the foot of every page, and following one job. */

import { get, post } from "./api.js";
import { complain } from "./toast.js";

const EVERY = 700; // ms between looks while something runs
const MOST_MISSES = 3; // looks in a row that got no answer, after which the server is taken for gone
const ENDED = ["done", "failed", "cancelled"];
const tray = document.getElementById("jobs");
const followers = new Map();
const rows = new Map();
const complained = new Set(); // ids of failed jobs: each is complained of once
let timer = null;
let misses = 0;

/** Calls `onChange(job)` whenever the job has changed, for the last time when it has ended. */
export function follow(id, onChange) {
  followers.set(id, onChange);
  look();
}

export async function cancel(id) {
  try {
    await post(`/api/jobs/${id}/cancel`);
  } catch (error) {
    complain(error);
  }
  look();
}

/** Looks at once, and then again as long as something runs. */
export async function look() {
  clearTimeout(timer);
  let jobs;
  // Of work that begins while the answer is on its way the answer says nothing.
  const before = [...followers.keys()];
  try {
    ({ jobs } = await get("/api/jobs"));
  } catch (error) {
    misses += 1;
    // Another server at this address has another token and refuses; the work ended with the one before.
    if (error.status !== 403 && misses < MOST_MISSES) {
      timer = setTimeout(look, 10 * EVERY);
      return;
    }
    endFollowers(before, error.message);
    show([]);
    return;
  }
  misses = 0;
  const lost = before.filter((id) => !jobs.some((job) => job.id === id));
  endFollowers(lost, "That work is not known any more: the server was started again. Start the work anew.");
  for (const job of jobs) {
    followers.get(job.id)?.(job);
    // One that fails before the first look never had a row; whoever began it is to hear of it all the same.
    if (job.state === "failed" && !complained.has(job.id) && (followers.has(job.id) || rows.has(job.id))) {
      complained.add(job.id);
      complain(new Error(`${job.title}: ${job.error.message}`));
    }
    if (ENDED.includes(job.state)) followers.delete(job.id);
  }
  show(jobs);
  if (jobs.some((job) => !ENDED.includes(job.state))) timer = setTimeout(look, EVERY);
}

/** Tells those who follow work that has ended without a word. */
function endFollowers(ids, message) {
  for (const id of ids) {
    const onChange = followers.get(id);
    followers.delete(id);
    onChange?.({ id, state: "failed", done: 0, total: 0, text: "", result: null, error: { kind: "Offline", message } });
  }
  if (ids.length) complain(new Error(message));
}

function show(jobs) {
  const running = jobs.filter((job) => !ENDED.includes(job.state));
  for (const job of running) (rows.get(job.id) ?? addRow(job)).update(job);
  for (const [id, row] of rows) {
    const job = jobs.find((one) => one.id === id);
    if (!job || ENDED.includes(job.state)) {
      row.element.remove();
      rows.delete(id);
    }
  }
  tray.hidden = !rows.size;
}

function addRow(job) {
  const element = document.createElement("div");
  element.className = "job";
  const title = document.createElement("span");
  const bar = document.createElement("progress");
  bar.setAttribute("aria-label", job.title);
  const stop = document.createElement("button");
  stop.type = "button";
  stop.className = "quiet";
  stop.textContent = "Cancel";
  stop.setAttribute("aria-label", `Cancel: ${job.title}`);
  stop.addEventListener("click", () => {
    stop.disabled = true;
    cancel(job.id);
  });
  element.append(title, bar, stop);
  tray.append(element);
  const row = {
    element,
    update(now) {
      title.textContent = now.text ? `${now.title}: ${now.text}` : now.title;
      if (now.total > 0) {
        bar.max = now.total;
        bar.value = now.done;
      } else bar.removeAttribute("value");
    },
  };
  rows.set(job.id, row);
  return row;
}
