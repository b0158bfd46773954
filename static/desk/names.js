// @ts-check
// Names of symbols and of their quote currencies, by the same rules as the server's.

const OTHER = "other";

// Only ASCII letters, as in symbols.
const toUpper = (/** @type {string} */ text) => text.replace(/[a-z]+/g, (part) => part.toUpperCase());

/** A symbol as the server reads it: one without a capital is written in capitals. @param {string} text */
export const readSymbol = (text) => (/[A-Z]/.test(text) ? text : toUpper(text));

/**
 * The quote currency: so a new symbol has it with its first trade.
 * @param {string} symbol
 * @param {string[]} currencies that are known as endings
 */
export const findQuote = (symbol, currencies) => {
  const slash = symbol.indexOf("/");
  const quote = slash > 0 ? symbol.slice(slash + 1).split(":")[0].trim() : "";
  if (quote) return toUpper(quote);
  const name = toUpper(symbol);
  const endings = currencies.filter((currency) => name.endsWith(currency) && name !== currency);
  return endings.reduce((longest, each) => (each.length > longest.length ? each : longest), "") || OTHER;
};
