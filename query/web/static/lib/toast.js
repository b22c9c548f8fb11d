/** Short messages in the corner; a change offers to be undone. */

import { post } from "./api.js";

const SECONDS = 10;

/** `undo` is a list of the numbers of decisions, or a function. After undoing `onUndo` runs, or the page is loaded anew. */
export function toast(message, { undo, onUndo, kind = "note" } = {}) {
  const box = document.createElement("div");
  box.className = `toast ${kind}`;
  const text = document.createElement("span");
  text.textContent = message;
  box.append(text);
  if (typeof undo === "function" || undo?.length) {
    box.append(
      button("Undo", async () => {
        box.remove();
        try {
          const answer = typeof undo === "function" ? await undo() : await post("/api/undo", { decisions: undo });
          toast(answer?.message ?? "Undone");
          await (onUndo ? onUndo() : location.reload());
        } catch (error) {
          complain(error);
        }
      }),
    );
  }
  const close = button("×", () => box.remove());
  close.setAttribute("aria-label", "Close this message");
  box.append(close);
  document.getElementById("toasts").append(box);
  let timer = setTimeout(() => box.remove(), SECONDS * 1000);
  // Whoever is about to press Undo is not raced.
  box.addEventListener("pointerenter", () => clearTimeout(timer));
  box.addEventListener("focusin", () => clearTimeout(timer));
  box.addEventListener("pointerleave", () => {
    clearTimeout(timer);
    timer = setTimeout(() => box.remove(), SECONDS * 1000);
  });
  return box;
}

/** Shows what went wrong; a request that was given up on purpose is nothing. */
export function complain(error) {
  if (error.name === "AbortError") return;
  const box = toast(error.message, { kind: "error" });
  if (typeof error.person !== "number") return;
  const link = document.createElement("a");
  link.href = `/people/${error.person}`;
  link.textContent = "Go to that person";
  box.lastChild.before(link);
}

function button(label, onClick) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "quiet";
  element.textContent = label;
  element.addEventListener("click", onClick);
  return element;
}
