/** Who is when: a row for each person, with the stretches in which a face of theirs is followed. */

import { el, svg } from "./dom.js";
import { clock } from "./time.js";

/** One colour for one person on all pages; grey for nobody. */
export const colourOf = (person) => (person === null ? "hsl(220 8% 55%)" : `hsl(${(person * 137.5) % 360} 62% 52%)`);

/** Stretches [start, end) in seconds along `duration`, as an SVG as wide as its place; `marks` are times of ticks. */
export function bars(duration, stretches, colour, marks = []) {
  const drawing = svg("svg", {
    class: "bars", viewBox: `0 0 ${Math.max(duration, 0.001)} 10`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  for (const time of marks) drawing.append(svg("line", { x1: time, x2: time, y1: 0, y2: 10 }));
  for (const [start, end] of stretches)
    drawing.append(svg("rect", { x: start, y: 1, width: Math.max(end - start, 0), height: 8, fill: colour, stroke: colour }));
  return drawing;
}

/** Times for the scale of a timeline: about `most` round ones. */
export function roundTimes(duration, most) {
  const steps = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
  const step = steps.find((one) => duration / one <= most) ?? 7200;
  const times = [];
  for (let time = 0; time < duration - step / 3; time += step) times.push(time);
  return times;
}

/** The scale itself, laid over a place that is as wide as the timeline. */
export function scale(duration, most) {
  const place = el("div", { class: "scale", "aria-hidden": "true" });
  const digits = duration < 8 ? 1 : 0;
  for (const time of roundTimes(duration, most)) {
    const label = el("span", {}, clock(time, digits));
    label.style.left = `${(100 * time) / duration}%`;
    place.append(label);
  }
  return place;
}

/** What is at a place of a timeline, while the pointer is over it: a picture, a time, a text. */
export class Preview {
  constructor(box, picture, text) {
    Object.assign(this, { box, picture, text, timer: null });
  }

  show(event, address, text) {
    this.text.textContent = text;
    this.box.hidden = false;
    const width = this.box.offsetWidth;
    this.box.style.left = `${Math.min(Math.max(event.clientX - width / 2, 8), innerWidth - width - 8)}px`;
    const top = event.currentTarget.getBoundingClientRect().top - this.box.offsetHeight - 8;
    this.box.style.top = `${top > 0 ? top : event.clientY + 24}px`;
    if (address === this.picture.getAttribute("src")) return;
    clearTimeout(this.timer);
    // Pictures are decoded on the server: only where the pointer rests.
    this.timer = setTimeout(() => this.picture.setAttribute("src", address), 90);
  }

  hide() {
    clearTimeout(this.timer);
    this.box.hidden = true;
  }
}
