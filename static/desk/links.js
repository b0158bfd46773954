// @ts-check
// The trades behind a number: a page of the blotter with its filter, and of the strip and its tables with their window.

let since = "";

/** @param {HTMLAnchorElement} link @param {Record<string, string>} filter */
export const linkToAll = (link, filter) => {
  const search = new URLSearchParams(filter).toString();
  if (link.search !== (search && `?${search}`)) link.search = search;
};

/** @param {HTMLAnchorElement} link @param {Record<string, string>} filter */
export const linkTo = (link, filter) => linkToAll(link, since ? { ...filter, since } : filter);

/** Leads the numbers of the strip to their trades. @param {string} start of the window that they are of */
export const linkTrades = (start) => {
  since = start;
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("a[data-trades]"))) {
    linkTo(link, Object.fromEntries(new URLSearchParams(link.dataset.trades)));
  }
};
