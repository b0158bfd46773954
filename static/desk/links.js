// @ts-check
// The trades behind a number: a page of the blotter with its window and its filter.

let since = "";

/** @param {HTMLAnchorElement} link @param {string} filter */
export const linkTo = (link, filter) => {
  const query = new URLSearchParams(filter);
  if (since) query.set("since", since);
  link.search = query.toString();
};

/** Leads the numbers of the strip to their trades. @param {string} start of the window that they are of */
export const linkTrades = (start) => {
  since = start;
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("a[data-trades]"))) linkTo(link, link.dataset.trades ?? "");
};
