// @ts-check
// What every part of the page uses: elements, requests with a deadline, and ages.
import { watch, whenSignedIn } from "./session.js";

const DEADLINE_MS = 3000;

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export const byId = (id, type) => {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} with the id ${id}`);
  return element;
};

/**
 * Writes the text of an element that has no other content, if it is another one: the browser lays out and paints only what has changed,
 * and styles no element again while its node of text stays.
 * @param {Element} element @param {string} text
 */
export const writeText = (element, text) => {
  const { firstChild: node } = element;
  if (!(node instanceof Text) || node.nextSibling) element.textContent = text;
  else if (node.data !== text) node.data = text;
};

/** @param {string} id @param {string} text */
export const setText = (id, text) => writeText(byId(id, HTMLElement), text);

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [text]
 * @param {Record<string, string>} [attributes]
 */
export const makeElement = (tag, text, attributes = {}) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

/**
 * A request that waits for a session if it only reads, and fails when it has no complete answer within DEADLINE_MS, or when `signal` is aborted.
 * @param {string} url @param {RequestInit} [options]
 */
export const request = async (url, { signal, ...options } = {}) => {
  // What writes is rejected at once: it must not be sent later, when it may be wrong.
  if (!options.method) await whenSignedIn();
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  return watch(await fetch(url, { ...options, signal: signal ? AbortSignal.any([signal, deadline]) : deadline }));
};

/** A time, for its age. Either clock may miss something: one stands still while a computer sleeps, the other is set. */
export class Since {
  /** @param {number} [age] in milliseconds, that it has already */
  constructor(age = 0) {
    this.wall = Date.now() - age;
    this.steady = performance.now() - age;
  }

  get age() { return Math.max(0, Date.now() - this.wall, performance.now() - this.steady); }
}
