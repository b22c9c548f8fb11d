/** Keys of a page; `?` shows what they do. */

const known = new Map();

/** `keys({ y: [accept, "this is the same person"], ArrowLeft: [back, "one frame back"] })`; a bare function has no help. */
export function keys(actions) {
  for (const [key, action] of Object.entries(actions)) {
    const [run, help] = Array.isArray(action) ? action : [action, ""];
    known.set(key, { run, help });
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (isTyping(event.target, event.key) || document.querySelector("dialog[open]")) return;
  if (event.key === "?" && known.size) {
    event.preventDefault();
    showHelp();
    return;
  }
  const action = known.get(event.key) ?? known.get(event.key.toLowerCase());
  if (!action) return;
  event.preventDefault();
  action.run(event);
});

/** Keys that a field or a focused button has use for are left to it. */
function isTyping(target, key) {
  if (target.isContentEditable || target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select"))
    return true;
  return [" ", "Enter"].includes(key) && target.matches("button, a[href], summary, input, [role=button]");
}

export function showHelp() {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", "Keys");
  const heading = document.createElement("h2");
  heading.textContent = "Keys";
  const list = document.createElement("dl");
  list.className = "keys";
  for (const [key, { help }] of known) {
    if (!help) continue;
    const term = document.createElement("dt");
    const name = document.createElement("kbd");
    name.textContent = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" }[key] ?? key;
    term.append(name);
    const meaning = document.createElement("dd");
    meaning.textContent = help;
    list.append(term, meaning);
  }
  const close = document.createElement("button");
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  dialog.append(heading, list, close);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
