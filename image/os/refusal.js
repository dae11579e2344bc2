// @ts-check
/** Which step of the wizard a refused claim is about, and what is said there. Pure. */

/** @typedef {"code" | "password" | "domain" | "email" | "review"} Step */

/**
 * @typedef {object} Refusal
 * @property {string} code the errno @property {string} message @property {string | null} hint
 * @property {number} status of HTTP @property {number | null} retryAfterS
 */

/**
 * Which step a refusal is about, and what to say there.
 * @param {Refusal} error @returns {{ step: Step, text: string }}
 */
export function whereItBelongs(error) {
  const { code, message, hint } = error;
  const text = `${message[0]?.toUpperCase() ?? ""}${message.slice(1)}.`;
  if (code === "EACCES") {
    const left = /(\d+) (?:try is|tries are) left/.exec(hint ?? "")?.[1];
    const tries = left === undefined ? "" : ` ${left} ${left === "1" ? "try" : "tries"} left.`;
    return { step: "code", text: `That is not this machine's setup code.${tries}` };
  }
  if (code === "EAGAIN" && message.includes("code")) {
    const wait =
      error.retryAfterS === null ? "" : ` Wait ${error.retryAfterS} s, then read it there.`;
    const renewed = "Too many wrong codes: a new code is on the machine's console.";
    return { step: "code", text: `${renewed}${wait}` };
  }
  // Once claimed, the machine answers for its names alone: here is nobody any more (404, 421).
  if (code === "EEXIST" || error.status === 404 || error.status === 421) {
    return {
      step: "review",
      text: "This machine has an owner already. If that is you, sign in on its own page.",
    };
  }
  if (code === "EINVAL") {
    if (/password|rootPass/.test(message)) return { step: "password", text };
    if (/e-mail|email/.test(message)) return { step: "email", text };
    if (/domain/.test(message)) return { step: "domain", text };
    if (/code/.test(message)) return { step: "code", text };
  }
  return { step: "review", text: hint === null ? text : `${text} Please ${hint}.` };
}
