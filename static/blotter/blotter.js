// @ts-check
// The blotter is live: its results are read again, unless someone points at them, has the focus in them or selects.
const PERIOD_MS = 5000;
const DEADLINE_MS = 3000;

const results = () => /** @type {HTMLElement} */ (document.getElementById("results"));

const isHeld = () => {
  const selection = getSelection();
  const selected = selection && !selection.isCollapsed && selection.containsNode(results(), true);
  return document.hidden || selected || results().matches(":hover") || results().contains(document.activeElement);
};

const read = async () => {
  if (isHeld()) return;
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(DEADLINE_MS) });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.getElementById("results");
  // A session that has ended gives another page.
  if (response.ok && fresh && !isHeld()) results().replaceWith(fresh);
};

if (results().dataset.live !== undefined) setInterval(() => read().catch(() => undefined), PERIOD_MS);
