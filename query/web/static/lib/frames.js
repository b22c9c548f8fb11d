/** The frames of a video as the index has them: which one a player shows, when each starts, and the faces in it. */

import { get } from "./api.js";

const MOST_WINDOWS = 40; // of boxes in memory
const TOLERANCE = 0.001; // s; files count time in milliseconds, some in less

export class Frames {
  /** `onStale()` is called when the index is no longer that of `timeline`. */
  constructor(timeline, onStale) {
    this.folder = timeline.folder;
    this.version = timeline.version;
    this.count = timeline.frames;
    this.size = timeline.window;
    this.starts = timeline.window_starts;
    this.duration = timeline.duration;
    this.onStale = onStale;
    this.windows = new Map(); // by number: a promise, or the window once it is there
  }

  /** The window that has a frame; loads it once. */
  async windowOf(frame) {
    const number = Math.floor(Math.min(Math.max(frame, 0), this.count - 1) / this.size);
    if (!this.windows.has(number)) {
      const loading = this.load(number);
      this.windows.set(number, loading);
      // A later request tries again.
      loading.catch(() => this.windows.delete(number));
      if (this.windows.size > MOST_WINDOWS) this.windows.delete(this.windows.keys().next().value);
    }
    return this.windows.get(number);
  }

  async load(number) {
    const window = await get(`/api/videos/${encodeURIComponent(this.folder)}/frames/${number * this.size}`);
    if (window.version !== this.version) this.onStale();
    if (this.windows.has(number)) this.windows.set(number, window);
    return window;
  }

  /** Loads what has the frames of a time, if it is not there. */
  prepare(time) {
    return this.windowOf(this.near(time));
  }

  /** The frame whose start is nearest to `time`, the media time that a player reports; null until it is loaded. */
  at(time) {
    return this.search(time, (times, place) => (time - times[place] > times[place + 1] - time ? place + 1 : place));
  }

  /** The frame that is shown at any `time`, for players that report no more; null until it is loaded. */
  showing(time) {
    return this.search(time, (times, place) => place);
  }

  search(time, choose) {
    const number = Math.max(0, lastAt(this.starts, time + TOLERANCE));
    const window = this.windows.get(number);
    if (!window || window instanceof Promise) return null;
    const place = Math.min(Math.max(0, lastAt(window.times, time + TOLERANCE)), window.times.length - 2);
    return Math.min(window.start + choose(window.times, place), this.count - 1);
  }

  /** About which frame a time shows, without loading anything; exact where all frames last equally long. */
  near(time) {
    const number = Math.max(0, lastAt(this.starts, time + TOLERANCE));
    const start = this.starts[number];
    const last = number === this.starts.length - 1;
    const end = last ? this.duration : this.starts[number + 1];
    const frames = last ? this.count - number * this.size : this.size;
    const share = end > start ? Math.min(Math.max((time - start) / (end - start), 0), 1) : 0;
    return Math.min(number * this.size + Math.floor(share * frames + TOLERANCE), this.count - 1);
  }

  /** The middle of the time for which a frame is shown: where a player must seek to show it and no neighbour. */
  async middle(frame) {
    const window = await this.windowOf(frame);
    const place = frame - window.start;
    return (window.times[place] + window.times[place + 1]) / 2;
  }

  /** The faces of a frame that is loaded: [{ tracklet, box: [x, y, w, h] }]. */
  faces(frame) {
    const window = this.windows.get(Math.floor(frame / this.size));
    if (!window || window instanceof Promise) return [];
    return window.faces
      .filter((face) => frame >= face.start && frame < face.start + face.boxes.length)
      .map((face) => ({ tracklet: face.tracklet, box: face.boxes[frame - face.start] }));
  }
}

/** The place of the last of rising `values` that is not above `value`; -1 where all are. */
export function lastAt(values, value) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
