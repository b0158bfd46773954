// @ts-check
// Texts to copy: the command that sends a trade, and the buttons that copy.

/** @param {string} text */
const shellQuote = (text) => `'${text.replaceAll("'", `'"'"'`)}'`;

/** @param {string} url @param {Record<string, string>} trade */
export const writeCurl = (url, trade) =>
  `curl ${shellQuote(url)} -H 'Content-Type: application/json' -d ${shellQuote(JSON.stringify(trade))}`;

/** Lets a button copy the text of an element. @param {HTMLButtonElement} button @param {HTMLElement} source */
export const enableCopy = (button, source) => {
  // Browsers have a clipboard only in secure contexts: HTTPS or localhost.
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent ?? "");
      button.textContent = "Copied";
    } catch {
      getSelection()?.selectAllChildren(source);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
};
