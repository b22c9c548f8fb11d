/** Questions before what cannot be undone. */

/**
 * Resolves to true when the user agrees; to the text when `input` asks for one ({ label, value }); else to null.
 * `danger` colours the button.
 */
export function confirmDialog({ title, text = "", agree = "OK", cancel = "Cancel", danger = false, input = null }) {
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
  let field = null;
  if (input) {
    const label = document.createElement("label");
    label.textContent = input.label;
    field = document.createElement("input");
    field.value = input.value ?? "";
    field.required = true;
    label.append(field);
    form.append(label);
  }
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  buttons.append(button(cancel, "cancel", "quiet", true), button(agree, "agree", danger ? "danger" : "primary"));
  form.append(buttons);
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  field?.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const agreed = dialog.returnValue === "agree";
      dialog.remove();
      resolve(agreed ? (field ? field.value.trim() : true) : null);
    });
  });
}

function button(label, value, style, skipCheck = false) {
  const element = document.createElement("button");
  element.textContent = label;
  element.value = value;
  element.className = style;
  element.formNoValidate = skipCheck;
  return element;
}
