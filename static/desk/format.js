// Formatting of numbers, and helpers to make elements. Prices and quantities of single trades are shown as sent.
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
const scientific = new Intl.NumberFormat("en", { notation: "scientific", maximumFractionDigits: 2 });
const whole = new Intl.NumberFormat("en");
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 0 });

export const formatCount = (number) => (number < 100_000 ? whole.format(number) : compact.format(number));
// Compact notation ends with trillions, and has two decimal places.
export const formatAmount = (number) => (number && (number < 0.01 || number >= 1e15) ? scientific : compact).format(number);
export const formatShare = (number) => percent.format(number);

export const makeElement = (tag, text, attributes = {}) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

export const newKey = () => {
  // randomUUID exists only in secure contexts: HTTPS or localhost.
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
};
