// @ts-check
// The title and the icon of the tab: trouble first, then the last price.
import { byId } from "./page.js";

const shown = { price: "", trouble: "" };
const name = document.title;
const icon = byId("icon", HTMLLinkElement);
const icons = { ok: icon.href, trouble: icon.dataset.trouble ?? icon.href };

/** @param {{ price?: string, trouble?: string }} change */
export const showTitle = (change) => {
  Object.assign(shown, change);
  const title = [shown.trouble && `⚠ ${shown.trouble}`, shown.price, name].filter(Boolean).join(" · ");
  // Each change is told to the browser's window.
  if (document.title !== title) document.title = title;
  const wanted = shown.trouble ? icons.trouble : icons.ok;
  if (icon.href !== wanted) icon.href = wanted;
};
