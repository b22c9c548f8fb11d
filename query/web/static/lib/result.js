/** What was cut: clips to play and download, tables, files for other programs, and what could not be cut. */

import { el } from "./dom.js";
import { clock, count, lasting } from "./time.js";
import { toast } from "./toast.js";

const PREPARED = 12; // clips that show their first frame before anybody plays them
const TABLES = ["metadata.json", "clips.csv", "frames.csv"];

/** Shows a result in `place`, a section, and leads there. */
export function showResult(place, { folder, clips, plays, files, not_cut: notCut, notes }) {
  const at = (file) => `/media/result/${encodeURIComponent(folder)}/${path(file)}`;
  const title = clips.length ? `${count(clips.length, "clip")} in ${folder}` : "Nothing was cut";
  place.replaceChildren(
    el("h2", { id: "result-title" }, title),
    ...notCut.map((one) => el("p", { class: "warn" }, `Not cut: ${one.reason}`)),
    el("ul", { class: "cards clips" }, clips.map((clip, number) => card(clip, at(clip.file), plays, number < PREPARED))),
    clips.length ? links("Tables:", TABLES, at) : "",
    files.length ? links("For other programs:", files, at) : "",
    ...notes.map((note) => el("p", { class: "soft" }, note)),
  );
  lead(place, title);
}

/** Shows files for other programs that lie beside the results. */
export function showExports(place, { files, notes }) {
  const title = files.length ? count(files.length, "file") + " for other programs" : "Nothing was written";
  place.replaceChildren(
    el("h2", { id: "result-title" }, title),
    files.length ? links("", files, (file) => `/media/export/${path(file)}`) : "",
    ...notes.map((note) => el("p", { class: "soft" }, note)),
  );
  lead(place, title);
}

function card(clip, address, plays, prepared) {
  const picture = plays
    ? el("video", {
        src: address, controls: true, playsinline: true, width: clip.width, height: clip.height,
        preload: prepared ? "metadata" : "none", poster: prepared ? null : clip.picture, "aria-label": `Clip ${clip.file}`,
      })
    : el("img", { class: "face", src: clip.picture, alt: `Clip ${clip.file}, which browsers do not play`, loading: "lazy" });
  return el("li", { class: "card clip" }, picture,
    el("p", { class: "clip-text" }, `${clip.video} at ${clock(clip.start)}, ${lasting(clip.duration)}, ${clip.width}×${clip.height}`),
    el("a", { class: "button", href: `${address}?download`, download: clip.file }, "Download"));
}

const path = (file) => file.split("/").map(encodeURIComponent).join("/");

const links = (text, files, at) => el("p", { class: "row" }, text, files.map((file) => el("a", { href: `${at(file)}?download`, download: file.split("/").at(-1) }, file)));

function lead(place, title) {
  place.hidden = false;
  toast(title);
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "start" });
}
