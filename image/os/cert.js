// @ts-check
/**
 * The certificates of the machine's hosts, as far as their owner has to know: how many are good, and
 * each that is not, with the reason and what comes next. Pure.
 */
import { ago, duration } from "./human.js";

/**
 * @typedef {object} Cert what `net.cert.ls` says of one
 * @property {string} name @property {"self" | "acme"} issuer
 * @property {"good" | "coming" | "failing" | "expired"} state
 * @property {number | null} expiresAt @property {number | null} nextAt
 * @property {{ at: number, text: string } | null} problem
 */

/**
 * @typedef {object} Trouble one that is not simply good
 * @property {string} name @property {string} state @property {string} reason @property {string} next
 */

/** What is refused with less than this left is pressing, in ms. */
const dayMs = 86_400_000;

/** @param {number} many @param {string} what */
const plural = (many, what) => `${many} ${what}${many === 1 ? "" : "s"}`;

/** What is well, in one sentence; "" when nothing is. @param {readonly Cert[]} certs @param {number} now */
export function goodText(certs, now) {
  const good = certs.filter(({ state, issuer }) => state === "good" && issuer === "acme");
  if (good.length === 0) return "";
  const count = `${plural(good.length, "certificate")} ${good.length === 1 ? "is" : "are"} good`;
  const next = good.flatMap(({ nextAt }) => (nextAt === null ? [] : [nextAt]));
  if (next.length === 0) return `${count}.`;
  const soon = Math.min(...next) - now;
  return `${count}; the next renewal is ${soon <= 0 ? "due now" : `in ${duration(soon)}`}.`;
}

/** Those that are not, the worst first. @param {readonly Cert[]} certs @param {number} now @returns {Trouble[]} */
export function troubles(certs, now) {
  const order = ["expired", "failing", "coming"];
  return certs
    .filter(({ state, issuer }) => issuer === "acme" && state !== "good")
    .toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state))
    .map((cert) => ({
      name: cert.name,
      state: cert.state,
      reason: cert.problem?.text ?? "",
      next: nextText(cert, now),
    }));
}

/** @param {Cert} cert @param {number} now */
function nextText({ expiresAt, nextAt, state }, now) {
  const words = [];
  if (expiresAt !== null && expiresAt <= now) words.push(`it ended ${ago(expiresAt, now)}`);
  if (expiresAt !== null && expiresAt > now) {
    const left = duration(expiresAt - now);
    words.push(
      expiresAt - now < dayMs ? `only ${left} left` : `the one in use is good for ${left}`,
    );
  }
  if (state !== "coming" && nextAt !== null) {
    words.push(nextAt <= now ? "tried again now" : `tried again in ${duration(nextAt - now)}`);
  }
  const text = words.join(", ");
  return text === "" ? "" : `${text[0]?.toUpperCase()}${text.slice(1)}.`;
}
