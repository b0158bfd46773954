// @ts-check
// A table stands still while someone points at it, has the focus in it by keyboard, or selects something in it.

export class Hold {
  /** @param {HTMLTableElement} table @param {() => void} onChange is called when the table may move again */
  constructor(table, onChange) {
    this.table = table;
    this.pointed = false;
    this.focused = false;
    this.selected = false;
    table.addEventListener("pointerenter", ({ pointerType }) => { this.pointed = pointerType === "mouse"; });
    table.addEventListener("pointerleave", () => { this.pointed = false; onChange(); });
    // The button that was clicked keeps the focus, without being in use.
    table.addEventListener("focusin", ({ target }) => { this.focused = target instanceof Element && target.matches(":focus-visible"); });
    table.addEventListener("focusout", () => { this.focused = false; onChange(); });
    document.addEventListener("selectionchange", () => {
      const was = this.selected;
      const selection = getSelection();
      this.selected = Boolean(selection && !selection.isCollapsed && selection.containsNode(table.tBodies[0], true));
      if (was && !this.selected) onChange();
    });
  }

  get held() { return this.pointed || this.focused || this.selected; }
}
