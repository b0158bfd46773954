// @ts-check
// The page of a trade: its copy buttons, and the way back to the desk as it was left.
import { enableCopy } from "../desk/copy.js";

for (const button of document.querySelectorAll("[data-copy]")) {
  const source = button instanceof HTMLButtonElement && document.getElementById(button.dataset.copy ?? "");
  if (source) enableCopy(/** @type {HTMLButtonElement} */ (button), source);
}

const back = document.getElementById("back");
if (back instanceof HTMLAnchorElement && document.referrer.startsWith(back.href)) {
  // The desk keeps its place, its view and what is typed in it.
  back.addEventListener("click", (event) => { event.preventDefault(); history.back(); });
}
