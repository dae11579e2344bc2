// @ts-check
/**
 * How hard a password is to guess, as feedback while it is typed. An estimate in bits: words,
 * runs and repeats count little however long they are, what is left counts by its kind. The kernel
 * has the last word (kernel/security/password.ts); nothing here is sent anywhere.
 */

const least = 10;

const common = [
  ..."password passwort passphrase passwd pass secret admin root user guest master".split(" "),
  ..."letmein welcome hello changeme change default login iloveyou love sunshine".split(" "),
  ..."princess football baseball hockey soccer superman batman dragon monkey".split(" "),
  ..."shadow trustno starwars pokemon computer internet server localhost cloud fazt".split(" "),
  ..."summer winter spring autumn test qwerty qwertz azerty asdf zxcv".split(" "),
  ..."january february april august october monday friday sunday".split(" "),
].sort((a, b) => b.length - a.length);

const rows = ["qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertz", "azerty", "1234567890"];

/** @type {Readonly<Record<string, string>>} */
const lookalikes = { 0: "o", 1: "i", 3: "e", 4: "a", 5: "s", 7: "t", "@": "a", $: "s", "!": "i" };

/**
 * @typedef {object} Strength
 * @property {0 | 1 | 2 | 3 | 4} score how many of the meter's four bars are full
 * @property {string} label the same in words
 * @property {string} advice one sentence
 * @property {boolean} enough whether the wizard goes on with it
 */

/** How many characters at `at` are one repeated. @param {string} text @param {number} at */
function repeatAt(text, at) {
  let end = at + 1;
  while (end < text.length && text[end] === text[at]) end++;
  return end - at;
}

/** How many characters at `at` follow each other: abcd, 9876. @param {string} text @param {number} at */
function stepAt(text, at) {
  const step = text.charCodeAt(at + 1) - text.charCodeAt(at);
  if (Math.abs(step) !== 1) return 1;
  let end = at + 2;
  while (end < text.length && text.charCodeAt(end) - text.charCodeAt(end - 1) === step) end++;
  return end - at;
}

/** How many characters at `at` walk along a keyboard. @param {string} text @param {number} at */
function walkAt(text, at) {
  let longest = 1;
  for (const row of [...rows, ...rows.map((one) => [...one].reverse().join(""))]) {
    let length = 1;
    while (at + length < text.length && row.includes(text.slice(at, at + length + 1))) length++;
    longest = Math.max(longest, length);
  }
  return longest;
}

/**
 * How long the known word at `at` is, also in disguise; 0 when there is none.
 * @param {string} spelled @param {number} at @param {readonly string[]} known
 */
function wordAt(spelled, at, known) {
  return known.find((word) => spelled.startsWith(word, at))?.length ?? 0;
}

/** Bits of one character by its kind. @param {string} char */
function charBits(char) {
  if (/[a-z]/.test(char)) return 4.7;
  if (/[A-Z]/.test(char)) return 5.2;
  if (/\d/.test(char)) return 3.3;
  return /\s/.test(char) ? 1.5 : 5.5;
}

/** Letters that could be a word of a language count as one. @param {string} letters */
function lettersBits(letters) {
  const vowels = letters.match(/[aeiouy]/gi)?.length ?? 0;
  const share = vowels / letters.length;
  if (letters.length < 4 || share < 0.2 || share > 0.7) return letters.length * 4.7;
  return 13 + Math.max(0, letters.length - 8) * 1.5;
}

/**
 * What a guesser has to search, in bits.
 * @param {string} password @param {readonly string[]} about words a guesser knows
 */
export function bits(password, about = []) {
  const lower = password.toLowerCase();
  const spelled = [...lower].map((char) => lookalikes[char] ?? char).join("");
  const given = about.map((one) => one.toLowerCase());
  const parts = given.flatMap((one) => one.match(/[a-z0-9]{4,}/g) ?? []);
  const known = [...given.filter((one) => one.length >= 4), ...parts, ...common];
  let sum = 0;
  let letters = "";
  const flush = () => {
    if (letters !== "") sum += lettersBits(letters);
    letters = "";
  };
  for (let at = 0; at < lower.length; ) {
    const run = Math.max(repeatAt(lower, at), stepAt(lower, at), walkAt(lower, at));
    const word = wordAt(spelled, at, known);
    const whole = run >= 3 ? run : word;
    if (whole > 0) {
      flush();
      sum += run >= 3 ? 5 : 7;
      at += whole;
      continue;
    }
    const char = password[at] ?? "";
    if (/[a-z]/i.test(char)) letters += char;
    else {
      flush();
      sum += charBits(char);
    }
    at++;
  }
  flush();
  // A pattern typed twice is little more than once.
  return /^(.{2,}?)\1+$/.test(lower) ? Math.min(sum, 20) : sum;
}

const words = "Four or more words that do not belong together are strong and easy to remember.";

/**
 * @param {string} password @param {readonly string[]} about
 * @returns {Strength}
 */
export function strength(password, about = []) {
  const length = [...password].length;
  if (length === 0) return { score: 0, label: "Nothing typed yet", advice: words, enough: false };
  if (length < least) {
    const missing = least - length;
    const advice = `At least ${least} characters: ${missing} more ${missing === 1 ? "is" : "are"} needed.`;
    return { score: 1, label: "Too short", advice, enough: false };
  }
  const found = bits(password, about);
  if (found < 30) {
    const advice = `Words, rows of keys and repeats are guessed first. ${words}`;
    return { score: 1, label: "Weak", advice, enough: false };
  }
  if (found < 42) {
    return {
      score: 2,
      label: "Fair",
      advice: "It will do. A further word makes it good.",
      enough: true,
    };
  }
  if (found < 56) {
    return { score: 3, label: "Good", advice: "Hard to guess.", enough: true };
  }
  return { score: 4, label: "Strong", advice: "Very hard to guess, even offline.", enough: true };
}
