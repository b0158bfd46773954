// The pipeline light: how a trade's way is, in words, and in shapes and colours beside them.
const EVERY_MS = 3000;

const FEED = {
  connecting: ["warn", "connecting"], live: ["ok", "live"], reconnecting: ["warn", "reconnecting"],
  stale: ["down", "stale"], paused: ["warn", "paused"],
};

export class Light {
  constructor(list, news) {
    this.list = list;
    this.news = news;
    this.bad = "";
    list.hidden = false;
    setInterval(() => { if (!document.hidden) this.look(); }, EVERY_MS);
    this.look();
  }

  show(name, state, word) {
    const item = document.getElementById(`light-${name}`);
    item.className = state;
    item.lastElementChild.textContent = word;
    this.tell();
  }

  showFeed(state) { this.show("feed", ...FEED[state]); }

  // What goes wrong, and that it is right again, is said aloud once.
  tell() {
    const bad = Array.from(this.list.querySelectorAll(".down"), (item) => item.textContent.trim()).join(", ");
    if (bad === this.bad) return;
    this.news.textContent = bad ? `Attention: ${bad}` : "All is well again";
    this.bad = bad;
  }

  async look() {
    let seen;
    try {
      seen = await (await fetch("/pipeline")).json();
    } catch {
      this.show("web", "down", "no answer");
      return;
    }
    this.show("web", seen.web.ready ? "ok" : "down", seen.web.ready ? "accepting" : `refusing: ${seen.web.reason}`);
    const { reachable, ready } = seen.sidecar;
    this.show("sidecar", ready ? "ok" : "down", !reachable ? "away" : ready ? "counting" : "not ready");
    const lag = seen.lag_events;
    this.show("lag", lag === null ? "warn" : lag > 1000 ? "down" : lag > 100 ? "warn" : "ok", lag === null ? "unknown" : String(lag));
  }
}
