// @ts-check
// The quote currency of a symbol, by the same rule as the server's `find_quote`: so a new symbol has it with its first trade.

const OTHER = "other";

// Only ASCII letters, as in symbols.
const toUpper = (/** @type {string} */ text) => text.replace(/[a-z]+/g, (part) => part.toUpperCase());

/** @param {string} symbol @param {string[]} currencies that are known as endings */
export const findQuote = (symbol, currencies) => {
  const slash = symbol.indexOf("/");
  const quote = slash > 0 ? symbol.slice(slash + 1).split(":")[0].trim() : "";
  if (quote) return toUpper(quote);
  const name = toUpper(symbol);
  const endings = currencies.filter((currency) => name.endsWith(currency) && name !== currency);
  return endings.reduce((longest, each) => (each.length > longest.length ? each : longest), "") || OTHER;
};
