// @ts-check
// Why a form was not accepted, in at most 12 words; the tooltip has what a program is told.
/** @import { Problem } from "./types.d.ts" */

/** @type {Record<string, string>} */
const TEXTS = {
  invalid: "Rejected: please look at the marked fields.",
  unusual_price: "Not sent yet: the price is far from the last one.",
  csrf: "Not sent: the form had expired. Please send it again.",
  key_reused: "Sent before with other values. Send again for another trade.",
  key_in_flight: "Still being sent. Look at the trades before sending it again.",
  hub: "This is a hub. Send the trade to a host.",
  rate_limit: "Too many trades at once. Please send it again in a moment.",
  scope: "You may look, but not send.",
  session_ended: "The session has ended; sign in again, then send it again.",
  no_credential: "Nobody is signed in. Sign in, then send it again.",
  journal_slow: "Slow: it is not known whether it was accepted. Send again.",
};
const JOURNAL = "The journal cannot be used now. Nothing was accepted; try again.";

// What is sent again has the same key.
export const NO_ANSWER = "accepted or not is unknown. Sending again counts it once.";

/** @param {Problem} problem */
export const explain = ({ reason = "", status }) => TEXTS[reason] ?? (reason.startsWith("journal") ? JOURNAL : `Rejected with ${status} ${reason}. The log says why.`);
