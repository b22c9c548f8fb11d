/** People: naming in place, choosing several to merge or hide, and more of those without a name. */

import { post } from "./lib/api.js";
import { confirmDialog } from "./lib/dialog.js";
import { complain, toast } from "./lib/toast.js";

const bar = document.getElementById("chosen");
const unnamed = document.getElementById("unnamed");
const isHidden = document.querySelector("[data-hidden]")?.dataset.hidden === "1";

function chosen() {
  return [...document.querySelectorAll(".choose input:checked")].map((box) => box.closest(".person"));
}

function showChosen() {
  if (!bar) return;
  const count = chosen().length;
  bar.hidden = count === 0;
  document.getElementById("chosen-count").textContent = count === 1 ? "1 chosen" : `${count} chosen`;
  const merge = document.getElementById("merge");
  if (merge) merge.disabled = count < 2;
}

function clear() {
  for (const card of chosen()) card.querySelector(".choose input").checked = false;
  showChosen();
}

/** Says what was done on the page that is loaded anew, so that Undo is still there. */
function reloadWith(answer) {
  sessionStorage.setItem("people-done", JSON.stringify({ message: answer.message, decisions: answer.decisions }));
  location.reload();
}

async function change(address, body) {
  try {
    reloadWith(await post(address, body));
  } catch (error) {
    complain(error);
  }
}

document.addEventListener("change", (event) => {
  if (event.target.matches(".choose input")) showChosen();
});

document.getElementById("clear")?.addEventListener("click", clear);
document.getElementById("hide")?.addEventListener("click", () =>
  change("/api/people/hide", { people: chosen().map((card) => Number(card.dataset.person)), back: isHidden }),
);
document.getElementById("merge")?.addEventListener("click", async () => {
  // Whoever has a name keeps it; else the first, who has most time on screen.
  const cards = chosen().sort((one, other) => Boolean(other.dataset.name) - Boolean(one.dataset.name));
  const names = cards.map((card) => card.dataset.name || `person ${card.dataset.person}`);
  const agreed = await confirmDialog({
    title: `Are these ${cards.length} one person?`,
    text: [`${names.join(", ")}`, `All of them become ${names[0]}. You can undo it.`],
    agree: "Merge",
  });
  if (agreed) change("/api/people/merge", { people: cards.map((card) => Number(card.dataset.person)) });
});

document.addEventListener("click", (event) => {
  const button = event.target.closest(".rename");
  if (button) rename(button);
});

function rename(button) {
  const card = button.closest(".person");
  const form = document.createElement("form");
  const label = document.createElement("label");
  label.textContent = "Name";
  const field = document.createElement("input");
  field.value = card.dataset.name;
  field.required = true;
  field.maxLength = 200;
  field.autocomplete = "off";
  label.append(field);
  const save = document.createElement("button");
  save.className = "primary";
  save.textContent = "Save";
  const cancel = document.createElement("button");
  cancel.type = "button";
  cancel.textContent = "Cancel";
  const row = document.createElement("div");
  row.className = "row";
  row.append(save, cancel);
  form.append(label, row);
  button.hidden = true;
  card.append(form);
  field.select();
  field.focus();
  const close = () => {
    form.remove();
    button.hidden = false;
    button.focus();
  };
  cancel.addEventListener("click", close);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    save.disabled = true;
    try {
      reloadWith(await post(`/api/people/${card.dataset.person}/name`, { name: field.value }));
    } catch (error) {
      save.disabled = false;
      complain(error);
      field.focus();
    }
  });
}

let filled = false;

async function showUnnamed(page) {
  filled = true;
  const list = unnamed.querySelector("ul");
  const more = list.querySelector(".more button");
  if (more) more.disabled = true; // a second press must not bring the same people twice
  try {
    const query = new URLSearchParams({ page, q: list.dataset.search });
    const answer = await fetch(`/people/unnamed?${query}`);
    if (!answer.ok) throw new Error("The list cannot be read; reload the page.");
    const before = list.querySelectorAll(".person").length;
    more?.closest(".more").remove();
    list.insertAdjacentHTML("beforeend", await answer.text());
    // The button that had the focus is gone; go on with the first who is new.
    if (more) list.querySelectorAll(".person")[before]?.querySelector("input").focus();
  } catch (error) {
    if (more) more.disabled = false;
    else filled = false;
    complain(error);
  }
}

/** Fills the section once, and remembers that it is open: who names one after another goes on where they were. */
function toggled() {
  if (unnamed.open) sessionStorage.setItem("people-unnamed-open", "1");
  else sessionStorage.removeItem("people-unnamed-open");
  if (unnamed.open && !filled) showUnnamed(1);
}

if (unnamed) {
  unnamed.addEventListener("click", (event) => {
    const more = event.target.closest("[data-more]");
    if (more) showUnnamed(more.dataset.more);
  });
  if (sessionStorage.getItem("people-unnamed-open")) unnamed.open = true;
  unnamed.addEventListener("toggle", toggled);
  toggled();
}

const done = sessionStorage.getItem("people-done");
if (done) {
  sessionStorage.removeItem("people-done");
  const { message, decisions } = JSON.parse(done);
  toast(message, { undo: decisions });
}
showChosen();
