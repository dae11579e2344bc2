/**
 * What the process that holds the place and a kernel that it started say to each other: one JSON
 * object a line, on the kernel's standard input and output.
 *
 * Rules: the two may be of different versions, so that words are only added and unknown ones are
 * left unheard; the end of its standard input is the end of the kernel.
 */
import type { Order } from "../../kernel/proc/upgrade/mod.ts";
import type { StartOptions } from "../options.ts";
import type { Ready } from "../start.ts";
import type { Seen } from "./seen.ts";
import type { Awake } from "./warm.ts";

/** To the kernel. */
export type Told =
  /** Boot and listen; the processes in `beside` are kernels that answer until then. */
  | {
      readonly kind: "lead";
      readonly options: StartOptions;
      readonly beside: readonly number[];
      readonly appliance: boolean;
      /** Apps to start before it listens. */
      readonly awake?: readonly Awake[];
    }
  | { readonly kind: "look"; readonly id: number }
  /** First half of handing over: begin nothing by yourself any more. */
  | { readonly kind: "yield" }
  /** Second half: another one listens. */
  | { readonly kind: "leave" }
  /** The kernel before has gone: what it left to be done is yours. */
  | { readonly kind: "alone" }
  | { readonly kind: "end" };

/** From the kernel. */
export type Said =
  | { readonly kind: "awake"; readonly version: string }
  | { readonly kind: "ready"; readonly ready: Ready }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "yielded" }
  /** Instead: it cannot let go now, and goes on; whoever does not know the word waits in vain. */
  | { readonly kind: "busy"; readonly message: string }
  | { readonly kind: "seen"; readonly id: number; readonly seen: Seen }
  | { readonly kind: "order"; readonly order: Order }
  | { readonly kind: "setupCode"; readonly code: string };

/** The objects on a stream of lines; what is none is passed to `other`. */
export async function* objects<T>(
  stream: AsyncIterable<Uint8Array>,
  other: (line: string) => void = () => undefined,
): AsyncGenerator<T> {
  for await (const line of lines(stream)) {
    let found: T;
    try {
      found = JSON.parse(line) as T;
    } catch {
      other(line);
      continue;
    }
    yield found;
  }
}

/** The lines of a stream of bytes. */
export async function* lines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
  if (rest !== "") yield rest;
}
