/** Library: adding videos by browsing, typing or dropping; removing them. */

import { get, post } from "./lib/api.js";
import { confirmDialog } from "./lib/dialog.js";
import { follow } from "./lib/jobs.js";
import { complain, toast } from "./lib/toast.js";

const dialog = document.getElementById("browse");
const listing = document.getElementById("listing");
const where = document.getElementById("browse-where");
const indexChosen = document.getElementById("index-chosen");
const indexFolder = document.getElementById("index-folder");
let folder = "";

// -- Choosing

async function open(path) {
  let found;
  try {
    found = await get(`/api/library/folder?${new URLSearchParams({ folder: path })}`);
  } catch (error) {
    complain(error);
    return;
  }
  folder = found.path;
  where.textContent = found.path ? `In ${found.path}` : "";
  listing.replaceChildren();
  if (found.parent !== null) listing.append(folderRow("↑ Folder above", found.parent));
  for (const name of found.folders) listing.append(folderRow(`${name}/`, join(found.path, name)));
  for (const video of found.videos) listing.append(videoRow(video));
  if (!found.folders.length && !found.videos.length) {
    const row = document.createElement("li");
    row.className = "soft";
    row.textContent = "No video here";
    listing.append(row);
  }
  indexFolder.disabled = !found.videos.length && !found.folders.length;
  showChosen();
}

const join = (path, name) => (path ? `${path}/${name}` : name);

function folderRow(text, path) {
  const row = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", async () => {
    await open(path);
    (listing.querySelector("button, input") ?? document.getElementById("browse-close")).focus();
  });
  row.append(button);
  return row;
}

function videoRow(video) {
  const row = document.createElement("li");
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.value = join(folder, video.name);
  box.disabled = video.indexed;
  const name = document.createElement("span");
  name.textContent = video.name;
  const note = document.createElement("span");
  note.className = "soft";
  note.textContent = video.indexed ? "indexed" : size(video.bytes);
  label.append(box, name, note);
  row.append(label);
  return row;
}

function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
}

function chosen() {
  return [...listing.querySelectorAll("input:checked")].map((box) => box.value);
}

function showChosen() {
  const count = chosen().length;
  indexChosen.disabled = !count;
  indexChosen.textContent = count ? `Index ${count} ${count === 1 ? "video" : "videos"}` : "Index the chosen ones";
}

async function browse() {
  await open(folder);
  dialog.showModal();
}

listing.addEventListener("change", showChosen);
document.getElementById("add").addEventListener("click", browse);
document.getElementById("add-first")?.addEventListener("click", browse);
document.getElementById("browse-close").addEventListener("click", () => dialog.close());
indexChosen.addEventListener("click", () => index(chosen()));
indexFolder.addEventListener("click", () => index([folder || "."]));
document.getElementById("typed").addEventListener("submit", (event) => {
  event.preventDefault();
  const path = new FormData(event.target).get("path").trim();
  if (path) index([path]);
});

// -- Indexing

async function index(paths) {
  try {
    const job = await post("/api/library/index", { paths });
    dialog.close();
    toast("Indexing has begun; the bar below shows how far it is.");
    follow(job.id, ended);
  } catch (error) {
    complain(error);
  }
}

function ended(job) {
  if (job.state === "done") {
    const { indexed, failed } = job.result;
    const text = failed.length
      ? `${count(indexed.length)} indexed, ${failed.length} not: ${failed[0].video}: ${failed[0].message}`
      : `${count(indexed.length)} indexed`;
    sessionStorage.setItem("library-done", JSON.stringify({ text, kind: failed.length ? "error" : "note" }));
    location.reload();
  } else if (job.state === "cancelled") {
    toast("Indexing is cancelled. What is complete stays; the next run goes on with the rest.");
  }
}

const count = (number) => (number === 1 ? "1 video" : `${number} videos`);

// -- Dropping

const drop = document.getElementById("drop");
let depth = 0;

function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

addEventListener("dragenter", (event) => {
  if (!hasFiles(event)) return;
  depth += 1;
  drop.hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!hasFiles(event)) return;
  depth -= 1;
  if (depth <= 0) drop.hidden = true;
});
addEventListener("dragover", (event) => {
  if (hasFiles(event)) event.preventDefault();
});
addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  depth = 0;
  drop.hidden = true;
  for (const file of event.dataTransfer.files) await offer(file);
});

async function offer(file) {
  const agreed = await confirmDialog({
    title: "Copy this video into the library's folder?",
    text: [
      `${file.name}, ${size(file.size)}`,
      "A page cannot see where a dropped file lies, so a copy is made and indexed. To index it where it is, use “Add videos”.",
    ],
    agree: "Copy and index",
  });
  if (!agreed) return;
  const note = toast(`Copying ${file.name} …`);
  try {
    const answer = await send(file, (share) => {
      note.querySelector("span").textContent = `Copying ${file.name}: ${Math.round(share * 100)} %`;
    });
    note.remove();
    await index([answer.path]);
  } catch (error) {
    note.remove();
    complain(error);
  }
}

/** Sends a file and says how far it is, which `fetch` cannot. */
function send(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/library/add?${new URLSearchParams({ name: file.name, folder })}`);
    request.setRequestHeader("Content-Type", file.type.startsWith("video/") ? file.type : "application/octet-stream");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status === 200) resolve(request.response);
      else reject(new Error(request.response?.error?.message ?? `${file.name} was not accepted`));
    });
    request.addEventListener("error", () => reject(new Error("The server does not answer; is it still running?")));
    request.send(file);
  });
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".again");
  if (!button) return;
  button.disabled = true;
  try {
    const job = await post("/api/library/index", { folder: button.closest("[data-folder]").dataset.folder });
    follow(job.id, ended);
  } catch (error) {
    button.disabled = false;
    complain(error);
  }
});

// -- Removing

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".remove");
  if (!button) return;
  const card = button.closest("[data-folder]");
  const agreed = await confirmDialog({
    title: "Remove this video from the library?",
    text: [
      card.querySelector("h2").textContent,
      "What was seen in it is deleted, and cannot be brought back but by indexing it again. The video itself stays, and so do names and decisions.",
    ],
    agree: "Remove",
    danger: true,
  });
  if (!agreed) return;
  try {
    const answer = await post("/api/library/remove", { folder: card.dataset.folder });
    sessionStorage.setItem("library-done", JSON.stringify({ text: answer.message, kind: "note" }));
    location.reload();
  } catch (error) {
    complain(error);
  }
});

const done = sessionStorage.getItem("library-done");
if (done) {
  sessionStorage.removeItem("library-done");
  const { text, kind } = JSON.parse(done);
  toast(text, { kind });
}
