() => {
  // What is drawn of an element: its boxes, one for each line of an inline one, cut by each ancestor that clips or scrolls.
  const draw = (element) => Array.from(element.getClientRects(), (box) => cut(element, box));
  const cut = (element, whole) => {
    const inside = clip(element.parentElement);
    const [left, top] = [Math.max(whole.left, inside.left), Math.max(whole.top, inside.top)];
    return { element, left, top, right: Math.min(whole.right, inside.right), bottom: Math.min(whole.bottom, inside.bottom) };
  };
  // Each ancestor is looked at once.
  const clips = new Map([[document.body, { left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity }]]);
  const clip = (parent) => {
    const known = clips.get(parent);
    if (known) return known;
    const outer = clip(parent.parentElement);
    const inside = getComputedStyle(parent).overflow === "visible" ? outer : cut(parent, parent.getBoundingClientRect());
    clips.set(parent, inside);
    return inside;
  };
  const isAbove = (element) => {
    for (let each = element; each; each = each.parentElement) if (["fixed", "sticky"].includes(getComputedStyle(each).position)) return true;
    return false;
  };
  const hasText = (element) => Array.from(element.childNodes).some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const name = (element) => element.id ? `#${element.id}` : `${element.localName}.${element.className} "${element.textContent.trim().slice(0, 20)}"`;
  const drawn = Array.from(document.querySelectorAll("body *"))
    .filter((element) => element.matches("input:not([type=hidden], [type=radio]), select, button, a, canvas, #chart") || hasText(element))
    .filter((element) => !element.closest(".visually-hidden, option, script, template, svg") && !element.parentElement.closest("#chart"))
    .filter((element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !isAbove(element))
    .flatMap(draw)
    .filter(({ left, top, right, bottom }) => right - left > 1 && bottom - top > 1)
    .sort((a, b) => a.top - b.top);
  const faults = [];
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) faults.push(`${page.scrollWidth} px wide`);
  for (const { element, right } of drawn) if (right > page.clientWidth + 1) faults.push(`${name(element)} ends at ${Math.round(right)}`);
  drawn.forEach((a, index) => {
    for (const b of drawn.slice(index + 1)) {
      if (b.top > a.bottom - 2) break;
      if (a.right - b.left < 2 || b.right - a.left < 2 || a.element.contains(b.element) || b.element.contains(a.element)) continue;
      faults.push(`${name(a.element)} overlaps ${name(b.element)}`);
    }
  });
  return faults.slice(0, 5);
}
