/**
 * The items of a cartridge in their order, as who takes it in asks for them: each is asked for by its
 * kind, and its parts are a stream that must be read before the next item.
 */
import { damagedCartridge, type Frame } from "./frame.ts";
import type { ItemOf } from "./item.ts";

/** Frames one after the other, with a look at the next one. */
export class Reader {
  readonly #frames: AsyncGenerator<Frame>;
  #next: Frame | null = null;

  constructor(frames: AsyncGenerator<Frame>) {
    this.#frames = frames;
  }

  async peek(): Promise<Frame> {
    if (this.#next === null) {
      const next = await this.#frames.next();
      if (next.done === true) throw damagedCartridge("the stream", "ends too early");
      this.#next = next.value;
    }
    return this.#next;
  }

  /** The next item when it is of this kind, else null. */
  async item<K extends Exclude<Frame["kind"], "part" | "end">>(kind: K): Promise<ItemOf<K> | null> {
    const frame = await this.peek();
    if (frame.kind !== kind) return null;
    this.#next = null;
    return (frame as unknown as { item: ItemOf<K> }).item;
  }

  /** The `count` parts that follow, as a stream. */
  parts(count: number): ReadableStream<Uint8Array> {
    let left = count;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          if (left-- <= 0) return controller.close();
          const frame = await this.peek();
          if (frame.kind !== "part") throw damagedCartridge("a file", "lacks a part");
          this.#next = null;
          controller.enqueue(frame.bytes);
        },
      },
      { highWaterMark: 0 },
    );
  }

  async close(): Promise<void> {
    await this.#frames.return(undefined);
  }
}
