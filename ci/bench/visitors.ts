/**
 * Visitors who come at a constant rate, each on a connection of its own that stays until the server
 * closes it. Whoever is late counts from when it should have come.
 */
import type { Box } from "../../tests/upgrade/machine.ts";

/** One request. */
export interface Answered {
  /** When it was to be sent, Unix ms. */
  readonly at: number;
  /** How long it took from then to the end of the answer. */
  readonly ms: number;
}

export interface Visited {
  readonly answered: readonly Answered[];
  readonly failures: readonly string[];
}

/** A connection of HTTP/1.1 that is made again when the server has closed it. */
class Line {
  readonly #box: Box;
  readonly #request: string;
  #socket: Bun.Socket<undefined> | null = null;
  #text = "";
  #answered: PromiseWithResolvers<void> | null = null;

  constructor(box: Box) {
    this.#box = box;
    this.#request = `GET / HTTP/1.1\r\nHost: blog.localhost:${box.port}\r\n\r\n`;
  }

  async #open(): Promise<Bun.Socket<undefined>> {
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: this.#box.port,
      socket: {
        data: (_, bytes) => this.#hear(bytes.toString()),
        close: (closed) => {
          if (this.#socket !== closed) return;
          this.#socket = null;
          this.#answered?.reject(new Error("closed without an answer"));
        },
        error: (_, error) => this.#answered?.reject(error),
      },
    });
    this.#socket = socket;
    return socket;
  }

  #hear(part: string): void {
    this.#text += part;
    const end = this.#text.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.#text.slice(0, end).toLowerCase();
    const length = Number(/content-length: (\d+)/.exec(head)?.[1] ?? 0);
    if (this.#text.length < end + 4 + length) return;
    this.#text = "";
    const answered = this.#answered;
    this.#answered = null;
    if (/connection: close/.test(head)) {
      this.#socket?.end();
      this.#socket = null;
    }
    if (head.startsWith("http/1.1 200")) answered?.resolve();
    else answered?.reject(new Error(head.split("\r\n")[0]));
  }

  async ask(): Promise<void> {
    const socket = this.#socket ?? (await this.#open());
    this.#answered = Promise.withResolvers();
    socket.write(this.#request);
    await this.#answered.promise;
  }

  end(): void {
    this.#socket?.end();
  }
}

/** They come until `end` is called, which resolves when the last of them was answered. */
export function constantVisitors(
  box: Box,
  { visitors, everyMs }: { readonly visitors: number; readonly everyMs: number },
): { end(): Promise<Visited> } {
  let goesOn = true;
  const answered: Answered[] = [];
  const failures: string[] = [];
  const visitor = async (at: number): Promise<void> => {
    const line = new Line(box);
    const beganMs = performance.now() + (at * everyMs) / visitors;
    const unix = Date.now() - performance.now();
    for (let turn = 0; goesOn; turn++) {
      const dueMs = beganMs + turn * everyMs;
      const early = dueMs - performance.now();
      if (early > 0) await Bun.sleep(early);
      await line.ask().catch((error: unknown) => void failures.push(String(error)));
      answered.push({ at: unix + dueMs, ms: performance.now() - dueMs });
    }
    line.end();
  };
  const all = Array.from({ length: visitors }, (_, at) => visitor(at));
  return {
    end: async () => {
      goesOn = false;
      await Promise.all(all);
      return { answered, failures };
    },
  };
}
