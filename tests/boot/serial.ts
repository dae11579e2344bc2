/**
 * A serial line as a test holds it: what came is kept, `expect` awaits words, `type` sends keys.
 */

/** Escape sequences of terminals (ECMA-48), which say nothing about the words between them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are
const sequences = /\x1b(\[[0-9;?!]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])/g;

export class Serial {
  #text = "";
  /** How much of it `expect` has passed. */
  #seen = 0;
  #ended = false;
  /** Resolves when nothing more can come. */
  readonly ended: Promise<void>;
  readonly #waiting = new Set<() => void>();
  readonly #write: (keys: string) => void;

  constructor(output: ReadableStream<Uint8Array>, write: (keys: string) => void) {
    this.#write = write;
    this.ended = this.#read(output);
  }

  /** Everything that came, without escape sequences. */
  get text(): string {
    return this.#text.replaceAll(sequences, "");
  }

  async #read(output: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of output) {
      this.#text += decoder.decode(chunk, { stream: true });
      this.#wake();
    }
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }

  /**
   * Awaits what matches in what came since the last match, and gives the match; throws with the
   * end of what came when it does not come in time.
   */
  async expect(pattern: RegExp, timeoutMs = 120_000): Promise<RegExpExecArray> {
    const found = Promise.withResolvers<RegExpExecArray>();
    const failed = (why: string) => {
      const tail = this.text.slice(-2000);
      found.reject(new Error(`the console never said ${pattern} (${why}):\n${tail}`));
    };
    const look = () => {
      const rest = this.text.slice(this.#seen);
      const match = pattern.exec(rest);
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        found.resolve(match);
      } else if (this.#ended) failed("it ended");
    };
    const timer = setTimeout(() => failed(`${timeoutMs / 1000} s`), timeoutMs);
    this.#waiting.add(look);
    look();
    try {
      return await found.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(look);
    }
  }

  /** Sends keys; Enter is "\r". */
  type(keys: string): void {
    this.#write(keys);
  }
}
