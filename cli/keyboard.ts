/**
 * The keys of this process's terminal, one after another, in raw mode.
 *
 * Rules: open only while somebody asks for keys, so that a program started meanwhile has the
 * terminal to itself; what was typed ahead is kept for the next question.
 */
import { type Key, readKeys } from "./key.ts";

/** An ESC that nothing follows for so long is the Escape key, in ms: sequences come at once. */
const escapeMs = 60;

export interface Keyboard {
  open(): void;
  close(): void;
  /** The next key; null after `timeoutMs` without one, or when the terminal is gone. */
  read(timeoutMs: number | null): Promise<Key | null>;
  /** Puts keys back that were read while something else was waited for; they come first. */
  unread(keys: readonly Key[]): void;
  /** Whether the terminal has hung up. */
  readonly gone: boolean;
}

class StdinKeyboard implements Keyboard {
  readonly #stdin = process.stdin;
  readonly #decoder = new TextDecoder();
  readonly #keys: Key[] = [];
  #rest = "";
  #escape: ReturnType<typeof setTimeout> | undefined;
  #wake: (() => void) | null = null;
  gone = false;

  open(): void {
    this.#stdin.on("data", this.#take);
    this.#stdin.on("end", this.#hangUp);
    this.#stdin.on("error", this.#hangUp);
    this.#stdin.setRawMode(true);
    this.#stdin.resume();
  }

  close(): void {
    this.#stdin.off("data", this.#take);
    this.#stdin.off("end", this.#hangUp);
    this.#stdin.off("error", this.#hangUp);
    if (!this.gone) this.#stdin.setRawMode(false);
    this.#stdin.pause();
  }

  async read(timeoutMs: number | null): Promise<Key | null> {
    const ready = this.#keys.shift();
    if (ready !== undefined || this.gone) return ready ?? null;
    await new Promise<void>((resolve) => {
      const timer = timeoutMs === null ? undefined : setTimeout(resolve, timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
    return this.#keys.shift() ?? null;
  }

  unread(keys: readonly Key[]): void {
    this.#keys.unshift(...keys);
  }

  readonly #take = (bytes: Uint8Array): void => {
    clearTimeout(this.#escape);
    const { keys, rest } = readKeys(this.#rest + this.#decoder.decode(bytes, { stream: true }));
    this.#keys.push(...keys);
    this.#rest = rest;
    if (rest !== "") this.#escape = setTimeout(this.#alone, escapeMs);
    if (this.#keys.length > 0) this.#wake?.();
  };

  /** Nothing followed: the Escape key, and what came after it as text. */
  readonly #alone = (): void => {
    this.#keys.push({ kind: "name", name: "escape" });
    this.#rest = "";
    this.#wake?.();
  };

  readonly #hangUp = (): void => {
    this.gone = true;
    this.#wake?.();
  };
}

/** The keyboard of this process, closed. */
export function createKeyboard(): Keyboard {
  return new StdinKeyboard();
}
