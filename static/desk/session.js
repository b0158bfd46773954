// @ts-check
// The session: when it has ended, the page keeps what is typed, shows the form of the sign-in page, and goes on after it.

const RETRY_MS = 2000;
// The form is sent to a server that takes its time for passwords.
const DEADLINE_MS = { GET: 3000, POST: 15_000 };
const KEY = "signed-in";

let signedIn = Promise.resolve();
/** @type {(() => void) | undefined} Set while there is no session. */
let goOn;

const reload = () => { if (goOn) load(); };
// The other pages of this browser have the same cookie. A channel would keep this page from being kept for the way back.
addEventListener("storage", ({ key }) => { if (key === KEY) reload(); });
addEventListener("pageshow", ({ persisted }) => { if (persisted) reload(); });

const box = /** @type {HTMLElement} */ (document.getElementById("session-ended"));

/** Resolves when there is a session: what only reads waits for it. */
export const whenSignedIn = () => signedIn;

/** Looks whether an answer says that the session has ended. @param {Response} response */
export const watch = (response) => {
  if (response.status === 401 && !goOn) {
    signedIn = new Promise((resolve) => { goOn = () => resolve(undefined); });
    load();
  }
  return response;
};

/** @param {string} url @param {"GET" | "POST"} method @param {URLSearchParams} [body] */
const fetchPage = async (url, method, body) => {
  const response = await fetch(url, { method, body, headers: { Accept: "text/html" }, signal: AbortSignal.timeout(DEADLINE_MS[method]) });
  return { ok: response.ok, page: new DOMParser().parseFromString(await response.text(), "text/html") };
};

const load = async () => {
  try {
    show(await fetchPage(box.dataset.url ?? "", "GET"));
  } catch {
    setTimeout(load, RETRY_MS);
  }
};

/** @param {HTMLFormElement} form */
const send = async (form) => {
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form)) body.append(name, String(value));
  try {
    show(await fetchPage(form.action, "POST", body));
    if (!goOn) tell();
  } catch {
    say("No answer. Try again.");
  }
};

const tell = () => {
  try {
    localStorage.setItem(KEY, String(Date.now()));
  } catch {
    // Storage is forbidden: the other pages keep their forms.
  }
};

/** @param {string} text */
const say = (text) => { /** @type {HTMLElement} */ (box.querySelector(".notice")).textContent = text; };

/** Shows the form of a page with its problem; a page without it is the desk, for who has signed in. @param {{ ok: boolean, page: Document }} answer */
const show = ({ ok, page }) => {
  const form = page.getElementById("sign-in-form");
  if (form instanceof HTMLFormElement) {
    say(page.querySelector(".sign-in .notice")?.textContent ?? "");
    box.querySelector("form")?.remove();
    box.append(form);
    form.addEventListener("submit", (event) => { event.preventDefault(); send(form); });
    box.hidden = false;
  } else if (ok) {
    resume(page);
  } else {
    say(page.querySelector("main p:not(.code)")?.textContent ?? "Not signed in. Try again.");
  }
};

/** @param {Document} page */
const findName = (page) => page.querySelector("#sign-out span")?.textContent;

/** @param {Document} page is the desk in the new session, whose token replaces the old one */
const resume = (page) => {
  const token = page.querySelector("[name=csrf_token]");
  if (!(token instanceof HTMLInputElement) || findName(page) !== findName(document)) {
    location.reload();
    return;
  }
  for (const each of document.querySelectorAll("[name=csrf_token]")) if (each instanceof HTMLInputElement) each.value = token.value;
  box.querySelector("form")?.remove();
  box.hidden = true;
  goOn?.();
  goOn = undefined;
};
