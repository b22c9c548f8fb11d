/** The log of changes: undoing one of them. */

import { post } from "./lib/api.js";
import { complain } from "./lib/toast.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-undo]");
  if (!button) return;
  button.disabled = true;
  try {
    await post("/api/undo", { decisions: [Number(button.dataset.undo)] });
    location.reload();
  } catch (error) {
    button.disabled = false;
    complain(error);
  }
});
