/**
 * One system call, declared once. Everything a bridge needs is in the declaration: HTTP, the
 * control socket, the CLI, the app's `kernel` object, the manual and OpenAPI all derive from it.
 *
 * Rules: `needs` is mandatory (no capability, no call); `errors` lists every errno `run` may
 * throw, any other becomes EIO and is our defect; every field of `input` and `output` is
 * described, with its unit. Names are the keys of the table in camelCase; the CLI and HTTP spell
 * them in kebab-case. Handlers hold no logic: they call their domain.
 */
import type { z } from "zod";
import type { Caller, Capability } from "./caller.ts";
import type { Errno } from "./errno.ts";
import type { Kernel } from "./kernel.ts";

/** `read` changes nothing; `write` changes and is audited; `destroy` loses data and is audited. */
export type Effect = "read" | "write" | "destroy";

/** How a reply travels: one JSON value, a stream of JSON values (NDJSON), or raw bytes. */
export type ReplyKind = "json" | "lines" | "bytes";

/** Where a call can be made. */
export type Surface = "app" | "http" | "cli";

/** Bytes on their way to the caller, with their length where it is known. */
export interface Bytes {
  /** Read by one reader, once; made when it is looked at. */
  readonly stream: ReadableStream<Uint8Array>;
  /** All of them, when they are few and in hand already: whoever can use that needs no stream. */
  readonly whole?: Uint8Array<ArrayBuffer> | undefined;
  readonly sizeBytes: number | null;
  readonly contentType: string;
}

/** One call being made: who, with what body, until when. */
export interface Invocation {
  readonly caller: Caller;
  /** The uploaded bytes of a call with `upload`; an empty stream when none were sent. */
  readonly body: ReadableStream<Uint8Array>;
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignal;
}

/** A worked example: shown in the manual, run as a test when `run` is not false. */
export interface Example {
  readonly say: string;
  readonly input: Readonly<Record<string, unknown>>;
}

export type ReplyOf<O extends z.ZodType, R extends ReplyKind> = R extends "json"
  ? z.input<O>
  : R extends "lines"
    ? AsyncIterable<z.input<O>>
    : Bytes;

export interface Call<
  I extends z.ZodObject = z.ZodObject,
  O extends z.ZodType = z.ZodType,
  R extends ReplyKind = ReplyKind,
> {
  /** One sentence without a final stop; help, manual, OpenAPI. */
  readonly summary: string;
  /** Further paragraphs for the manual. */
  readonly manual?: string;
  readonly input: I;
  /** One reply, or one line of a stream; for `bytes` it describes nothing and is `z.void()`. */
  readonly output: O;
  readonly reply: R;
  readonly needs: Capability;
  readonly errors: readonly Errno[];
  readonly effect: Effect;
  /** Whether it is audited though it only reads: what it hands out is a whole app or machine. */
  readonly audited: boolean;
  /** Whether making the call twice is the same as making it once. */
  readonly idempotent: boolean;
  /** Whether the call takes a stream of bytes beside its input. */
  readonly upload: boolean;
  /** Bytes of that stream at most; null: as many as any upload. */
  readonly uploadBytesMax: number | null;
  /** Names of input fields that are positional on the command line, in order. */
  readonly args: readonly string[];
  /** Other spellings on the command line, such as `fs cat` for `fs.read`. */
  readonly aliases: readonly string[];
  readonly surfaces: readonly Surface[];
  /** Input fields that never reach the audit log or an error message. */
  readonly secrets: readonly string[];
  readonly examples: readonly Example[];
  run(
    kernel: Kernel,
    invocation: Invocation,
    input: z.output<I>,
  ): Promise<ReplyOf<O, R>> | ReplyOf<O, R>;
}

type Optional =
  | "audited"
  | "idempotent"
  | "upload"
  | "uploadBytesMax"
  | "args"
  | "aliases"
  | "surfaces"
  | "secrets"
  | "reply";

type Declaration<I extends z.ZodObject, O extends z.ZodType, R extends ReplyKind> = Omit<
  Call<I, O, R>,
  Optional
> &
  Partial<Pick<Call<I, O, R>, Optional>>;

/**
 * Declares a call. Defaults: a JSON reply, no upload, no positional arguments, HTTP and CLI only,
 * idempotent and not audited when it only reads.
 */
export function call<
  I extends z.ZodObject,
  O extends z.ZodType,
  const R extends ReplyKind = "json",
>(declaration: Declaration<I, O, R>): Call<I, O, R> {
  return {
    audited: declaration.effect !== "read",
    idempotent: declaration.effect === "read",
    upload: false,
    uploadBytesMax: null,
    args: [],
    aliases: [],
    surfaces: ["http", "cli"],
    secrets: [],
    reply: "json" as R,
    ...declaration,
  };
}

/** A table of calls: domains, and groups within them. */
export interface CallTree {
  readonly [name: string]: AnyCall | CallTree;
}

// biome-ignore lint/suspicious/noExplicitAny: a table holds calls of every input and output
export type AnyCall = Call<any, any, any>;

/** Whether a node of the table is a call and not a group. */
export function isCall(node: CallTree | AnyCall): node is AnyCall {
  return typeof (node as { run?: unknown }).run === "function";
}

/** `startApp` → `start-app`: how the CLI and HTTP spell a name of the table. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
