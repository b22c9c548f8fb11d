/** Questions before what cannot be undone. */

/**
 * Resolves to true when the user agrees, else to null. `danger` colours the button.
 */
export function confirmDialog({ title, text = "", agree = "OK", cancel = "Cancel", danger = false }) {
  const dialog = document.createElement("dialog");
  const form = document.createElement("form");
  form.method = "dialog";
  const heading = document.createElement("h2");
  heading.textContent = title;
  heading.id = "dialog-title";
  dialog.setAttribute("aria-labelledby", "dialog-title");
  form.append(heading);
  for (const line of [text].flat().filter(Boolean)) {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    form.append(paragraph);
  }
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  buttons.append(button(cancel, "cancel", "quiet"), button(agree, "agree", danger ? "danger" : "primary"));
  form.append(buttons);
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const agreed = dialog.returnValue === "agree";
      dialog.remove();
      resolve(agreed ? true : null);
    });
  });
}

function button(label, value, style) {
  const element = document.createElement("button");
  element.textContent = label;
  element.value = value;
  element.className = style;
  return element;
}
