// @ts-check
// The theme and the palette that were chosen, before the page is painted; the footer of each page has the choices.
(() => {
  const root = document.documentElement;
  // What needs scripts has its place from the first painting on, so that nothing moves when they have begun.
  root.dataset.scripts = "on";
  for (const name of ["theme", "palette"]) {
    try {
      root.dataset[name] = localStorage.getItem(name) ?? "";
    } catch {
      // Storage is forbidden: it is not remembered.
    }
  }
  document.addEventListener("DOMContentLoaded", () => {
    for (const name of ["theme", "palette"]) {
      const select = document.getElementById(name);
      if (!(select instanceof HTMLSelectElement)) continue;
      select.value = root.dataset[name] ?? "";
      select.closest("[hidden]")?.removeAttribute("hidden");
      select.addEventListener("change", () => {
        root.dataset[name] = select.value;
        try {
          localStorage.setItem(name, select.value);
        } catch {
          // As above.
        }
      });
    }
  });
})();
