// @ts-check
/**
 * The setup code as people type it: twelve characters in three groups. Pure; the field's wiring is
 * in setup.js. The machine compares without case and hyphens, so grouping is for the eye alone.
 */

const characters = 12;
const groupSize = 4;

/** The bare characters of what was typed or pasted, upper case, at most twelve. @param {string} text */
export function bare(text) {
  return text
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "")
    .slice(0, characters);
}

/** `k7qwm3xp` → `K7QW-M3XP`. @param {string} text */
export function grouped(text) {
  return (bare(text).match(/.{1,4}/g) ?? []).join("-");
}

/**
 * The grouped text, and where the caret is in it when it stood at `caret` before.
 * @param {string} text @param {number} caret
 */
export function regroup(text, caret) {
  const before = bare(text.slice(0, caret)).length;
  const value = grouped(text);
  const hyphens = before === 0 ? 0 : Math.floor((before - 1) / groupSize);
  return { value, caret: Math.min(value.length, before + hyphens) };
}

/** What is wrong with a code before it is sent, or null. @param {string} text */
export function codeProblem(text) {
  const code = bare(text);
  if (code === "") return "Type the setup code that the machine's console shows.";
  const stray = /[01IO]/.exec(code)?.[0];
  if (stray !== undefined) {
    return `A setup code never holds “${stray}”: it has no 0, 1, I or O. Please look again.`;
  }
  const missing = characters - code.length;
  if (missing === 0) return null;
  return `The code has ${characters} characters; ${missing} ${missing === 1 ? "is" : "are"} missing.`;
}
