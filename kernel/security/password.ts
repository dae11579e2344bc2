/**
 * Passwords: what is too weak to take (pure, also for the wizard's feedback), and their argon2id
 * hashes.
 *
 * Rules: length decides, not kinds of characters (NIST SP 800-63B, 5.1.1.2); verifying against no
 * account costs the same work as against one; hashing never runs more than `argonRunningMax` at
 * once, and beyond `argonWaitingMax` waiting the answer is EAGAIN. Hashes carry their parameters.
 */
import { SysError } from "../errno.ts";
import {
  argonMemoryKiB,
  argonPasses,
  argonRunningMax,
  argonWaitingMax,
  hashLanesMax,
  hashMemoryKiBMax,
  hashMemoryKiBMin,
  hashPassesMax,
  passwordBytesMax,
  passwordCharactersMin,
  passwordDistinctMin,
} from "./limits.ts";

/** Words whose decoration is tried first; compared after digits, marks and look-alikes are gone. */
const common: ReadonlySet<string> = new Set([
  ..."password passwort passwords mypassword thepassword passphrase password secret".split(" "),
  ..."administrator admin adminadmin superuser rootroot root toor guest master".split(" "),
  ..."letmein letmeinnow welcome welcomehome changeme changeit pleasechange default".split(" "),
  ..."iloveyou sunshine princess football baseball superman batman dragon monkey".split(" "),
  ..."trustno trustnoone whatever starwars pokemon computer internet shadow".split(" "),
  ..."correcthorsebatterystaple fazt personalcloud server localhost test testtest".split(" "),
]);

/** Rows of keyboards, walked forwards or backwards. */
const rows = ["qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklm"];

const lookalikes: Readonly<Record<string, string>> = {
  "0": "o",
  "1": "i",
  "3": "e",
  "4": "a",
  "5": "s",
  "7": "t",
  "@": "a",
  $: "s",
  "!": "i",
};

/**
 * What is wrong with a password as one clause (`it is too short: …`), or null when it will do.
 * `about` are words a guesser would try first: the domain, the mail address, the user's name.
 */
export function passwordProblem(password: string, about: readonly string[] = []): string | null {
  const text = password.normalize("NFC");
  const length = [...text].length;
  if (length < passwordCharactersMin) {
    return `it is too short: ${length} characters, at least ${passwordCharactersMin} are needed`;
  }
  if (new TextEncoder().encode(text).length > passwordBytesMax) {
    return `it is too long: more than ${passwordBytesMax} bytes`;
  }
  if (text.includes("\0")) return "it holds a NUL character";
  const lower = text.toLowerCase();
  if (new Set(lower).size < passwordDistinctMin) return "it repeats a few characters";
  if (isSequence(lower)) return "it is a sequence";
  if (common.has(core(lower))) return "it is a common password with decoration";
  const word = about.flatMap(wordsOf).find((part) => isMostly(lower, part));
  return word === undefined ? null : `it is little more than "${word}", which is known`;
}

/** Whether nearly every character follows its neighbour: abcdef, 98765, qwertz. */
function isSequence(lower: string): boolean {
  const steps = [...lower]
    .slice(1)
    .map((char, i) => (char.codePointAt(0) ?? 0) - lower.charCodeAt(i));
  const breaks = (step: number) => steps.filter((one) => one !== step).length;
  if (Math.min(breaks(1), breaks(-1), breaks(0)) <= 2) return true;
  const letters = lower.replace(/[^a-z]+$/, "");
  const backwards = [...letters].reverse().join("");
  return (
    letters.length >= 6 && rows.some((row) => row.includes(letters) || row.includes(backwards))
  );
}

/** The word under the decoration: `P@ssw0rd2024!` → `password`. */
function core(lower: string): string {
  const bare = lower.replace(/[^a-z]+$/, "").replace(/^[^a-z@$]+/, "");
  const spelled = [...bare].map((char) => lookalikes[char] ?? char).join("");
  return spelled.replace(/[^a-z]/g, "");
}

function wordsOf(about: string): string[] {
  return about
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word.length >= 4);
}

/** Whether so little is left without the word that the rest is no password. */
function isMostly(lower: string, word: string): boolean {
  return lower.includes(word) && lower.replaceAll(word, "").length < passwordCharactersMin - 2;
}

/** EINVAL with what is wrong, for a password that is too weak. */
export function assertPassword(password: string, about: readonly string[]): void {
  const problem = passwordProblem(password, about);
  if (problem === null) return;
  throw new SysError("EINVAL", `cannot take this password: ${problem}`, {
    hint: "use four or more words that do not belong together",
  });
}

/** EINVAL for what is no argon2id hash in PHC form, or one too weak or too dear to check. */
export function assertHash(hash: string): void {
  const shape =
    /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{22,128}$/;
  const [, memory, passes, lanes] = (shape.exec(hash) ?? []).map(Number);
  const within = (value: number | undefined, least: number, most: number) =>
    value !== undefined && value >= least && value <= most;
  const state =
    memory === undefined
      ? "not argon2id in PHC form"
      : within(memory, hashMemoryKiBMin, hashMemoryKiBMax) &&
          within(passes, 1, hashPassesMax) &&
          within(lanes, 1, hashLanesMax)
        ? null
        : "its parameters are out of bounds";
  if (state === null) return;
  throw new SysError("EINVAL", `cannot take this hash: ${state}`, {
    hint: "make it with fazt security hash",
  });
}

/** The hash of a password that is good enough. EINVAL when it is too weak. */
export function hashPassword(password: string): Promise<string> {
  assertPassword(password, []);
  return createPasswords().hash(password);
}

export interface Passwords {
  /** EAGAIN when too many are being hashed. */
  hash(password: string): Promise<string>;
  /**
   * Whether it is the password of this hash; `null`, no account: the same work, then false. `first`:
   * before strangers, and not sent away because of them. EAGAIN as above.
   */
  verify(password: string, hash: string | null, first?: boolean): Promise<boolean>;
}

export function createPasswords(): Passwords {
  const turn = turnstile();
  return {
    hash: (password) =>
      turn(() =>
        Bun.password.hash(password.normalize("NFC"), {
          algorithm: "argon2id",
          memoryCost: argonMemoryKiB,
          timeCost: argonPasses,
        }),
      ),
    verify: (password, hash, first = false) =>
      turn(async () => {
        const right = await Bun.password.verify(password.normalize("NFC"), hash ?? nobody);
        return right && hash !== null;
      }, first),
  };
}

/** A hash nobody's password has: same parameters, a digest of zeros (PHC string format). */
const nobody = `$argon2id$v=19$m=${argonMemoryKiB},t=${argonPasses},p=1$${"A".repeat(43)}$${"A".repeat(43)}`;

/**
 * Lets `argonRunningMax` in at a time and `argonWaitingMax` wait; the others are sent away. Those who
 * go first have a queue of their own.
 */
function turnstile(): <T>(work: () => Promise<T>, first?: boolean) => Promise<T> {
  let running = 0;
  const urgent: (() => void)[] = [];
  const others: (() => void)[] = [];
  return async (work, first = false) => {
    const waiting = first ? urgent : others;
    if (running < argonRunningMax) running++;
    else if (waiting.length < argonWaitingMax) {
      await new Promise<void>((go) => waiting.push(go));
    } else {
      throw new SysError("EAGAIN", "cannot check a password now: too many are being checked", {
        hint: "try again in a second",
        retryAfterMs: 1000,
      });
    }
    try {
      return await work();
    } finally {
      // The turn is handed on, so that nobody slips in between.
      const next = urgent.shift() ?? others.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
