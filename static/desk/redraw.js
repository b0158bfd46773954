// @ts-check
// When a part of the page is drawn: together with all that has changed in it meanwhile, and so seldom that most of the time is
// left for clicks and for reading the feed, on a slow computer too. A frame has the work of one part, whatever arrives.

// Time left for other work for each time that a drawing took, with the layout that it caused.
const SHARE = 4;
const MOST_MS = 2000;
// A window that is hidden, or behind another one, has no frames; it has a title, and may be looked at again.
const FRAME_MS = 200;

/** @param {() => void} call */
const inNextFrame = (call) => {
  const late = setTimeout(() => { cancelAnimationFrame(frame); call(); }, FRAME_MS);
  const frame = requestAnimationFrame(() => { clearTimeout(late); call(); });
};

/** @type {Redraw[]} The parts that are to be drawn, in order. */
const due = [];
let busy = false;

const drawNext = () => {
  const part = due.shift();
  busy = part !== undefined;
  if (!part) return;
  inNextFrame(() => {
    try {
      part.run();
    } finally {
      // The next frame is left free: the chart paints in the one after it was changed, and a click need not wait for a second part.
      inNextFrame(drawNext);
    }
  });
};

export class Redraw {
  /** @param {() => void} draw @param {number} everyMs the shortest time from one drawing to the next */
  constructor(draw, everyMs) {
    this.draw = draw;
    this.everyMs = everyMs;
    this.rest = everyMs;
    this.asked = false;
  }

  /** Something has changed. */
  ask() {
    if (this.asked) return;
    this.asked = true;
    setTimeout(() => {
      due.push(this);
      if (!busy) drawNext();
    }, this.rest);
  }

  run() {
    this.asked = false;
    const began = performance.now();
    this.draw();
    // The layout follows the frame's scripts, and the next timer follows the layout.
    setTimeout(() => { this.rest = Math.min(MOST_MS, Math.max(this.everyMs, SHARE * (performance.now() - began))); });
  }
}
