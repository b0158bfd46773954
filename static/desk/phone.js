// @ts-check
// On a phone and a tablet the tables are in tabs, and the form is a sheet under one button. Elsewhere, and without a script, they are all on the page.
import { byId, makeElement } from "./page.js";

const narrow = matchMedia("(max-width: 60rem)");

class Tabs {
  /** @param {HTMLElement} list @param {HTMLElement[]} sections each with its title in `data-tab`; the first one is shown */
  constructor(list, sections) {
    this.list = list;
    this.sections = sections;
    this.tabs = sections.map((section) => makeElement("button", section.dataset.tab, { type: "button", role: "tab" }));
    list.replaceChildren(...this.tabs);
    this.chosen = 0;
    // A table that is not there, such as that of positions that are not kept, has no tab.
    const present = () => { for (const [number, tab] of this.tabs.entries()) tab.hidden = Boolean(sections[number].hidden); };
    const observer = new MutationObserver(present);
    for (const section of sections) observer.observe(section, { attributeFilter: ["hidden"] });
    present();
    list.addEventListener("click", ({ target }) => {
      const index = target instanceof HTMLButtonElement ? this.tabs.indexOf(target) : -1;
      if (index >= 0) this.show(index);
    });
    list.addEventListener("keydown", ({ key }) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
      if (!step) return;
      this.show((this.chosen + step + this.tabs.length) % this.tabs.length);
      this.tabs[this.chosen].focus();
    });
  }

  /** @param {number} index */
  show(index) {
    this.chosen = index;
    for (const [number, section] of this.sections.entries()) {
      this.tabs[number].ariaSelected = String(number === index);
      this.tabs[number].tabIndex = number === index ? 0 : -1;
      section.classList.toggle("not-chosen", number !== index);
    }
  }
}

/** Arranges the page for its width, and again when that changes. */
export const arrange = () => {
  const list = byId("tabs", HTMLElement);
  const sections = Array.from(document.querySelectorAll("[data-tab]")).filter((each) => each instanceof HTMLElement);
  // The trades are the last on the page, and the first that one wants to see.
  const tabs = new Tabs(list, [...sections.slice(-1), ...sections.slice(0, -1)]);
  const open = byId("new-trade-open", HTMLButtonElement);
  const sheet = /** @type {HTMLElement} */ (document.querySelector(".new-trade"));
  open.addEventListener("click", () => sheet.togglePopover());
  const fit = () => {
    tabs.show(tabs.chosen);
    open.hidden = !narrow.matches;
    // A sheet can be closed by Escape and by a touch beside it.
    sheet.popover = narrow.matches ? "auto" : null;
  };
  narrow.addEventListener("change", fit);
  fit();
};
