/**
 * A process of this program that looks through what strangers made (a cartridge, a backup's
 * database), as the sandbox gives it to the domains below it: it sees one directory and nothing
 * else, has no network, and its memory is bounded. What it says is a stranger's word too.
 */
import { isErrno, SysError } from "./errno.ts";

/** A descriptor of a process, as the runtime makes it. */
export type Stdio = "ignore" | "pipe" | "socket-fd" | Blob;

/** How to start it, and the directory as it sees it. */
export interface Enclosed {
  readonly input: string;
  /** Starts it with these as its first descriptors. `exceeded`: it is over its memory, kill it. */
  start(stdio: readonly Stdio[], exceeded: () => void): EnclosedProcess;
}

export interface EnclosedProcess {
  readonly child: Bun.Subprocess;
  readonly confined: {
    /** Rejects when the host refused its limits. */
    readonly ready: Promise<void>;
    kill(): void;
    /** It has said something: what only its making needed is let go of. */
    started(): void;
    /** After its end, once: why it was killed, when that was for want of memory. */
    ended(): string | null;
  };
}

/** Makes one that sees this directory alone, living this life. EPERM where there is no sandbox. */
export type Enclose = (dir: string, life: string) => Enclosed;

/** Bytes kept of what such a process says on standard error. */
const errorBytesMax = 64 * 1024;

/** One that runs. */
export interface Reading {
  readonly stdout: AsyncIterable<Uint8Array>;
  /** Resolves at a good end; else throws what `refusal` makes of its last words and its end. */
  ended(refusal: (said: string, end: string) => SysError): Promise<void>;
  /** Ends it; resolves when it is gone. Any number of times. */
  kill(): Promise<void>;
}

/** Starts it; it is told its directory on its standard input, as JSON. */
export function startReading(enclosed: Enclosed): Reading {
  const stdin = new Blob([JSON.stringify(enclosed.input)]);
  const { child, confined } = enclosed.start([stdin, "pipe", "pipe"], () => confined.kill());
  // What cannot be held is killed by its limits of time.
  confined.ready.catch(() => undefined);
  const said = firstBytes(child.stderr as ReadableStream<Uint8Array>);
  let end: Promise<{ failed: boolean; text: string }> | null = null;
  const over = () => {
    end ??= child.exited.then((code) => {
      const why = confined.ended();
      const text = why ?? `its process ended with ${String(child.signalCode ?? code)}`;
      return { failed: code !== 0 || why !== null, text };
    });
    return end;
  };
  return {
    stdout: telling(child.stdout as ReadableStream<Uint8Array>, () => confined.started()),
    async ended(refusal) {
      const { failed, text } = await over();
      if (failed) throw refusal(await said, text);
    },
    async kill() {
      confined.kill();
      await over();
    },
  };
}

async function* telling(stream: ReadableStream<Uint8Array>, first: () => void) {
  for await (const piece of stream) {
    first();
    yield piece;
  }
}

/** The first bytes of a stream as text; all of it is read. */
async function firstBytes(stream: ReadableStream<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of stream) {
    bytes += piece.length;
    if (bytes <= errorBytesMax) pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** The directory, in such a process. */
export async function inputDir(): Promise<string> {
  return String(await Bun.stdin.json());
}

/** The refusal that such a process told as one line `{code,message,hint}`; null when it told none. */
export function refusalIn(said: string): SysError | null {
  for (const line of said.split("\n")) {
    const { code, message, hint } = parsed(line);
    if (!isErrno(code)) continue;
    return new SysError(code, String(message), typeof hint === "string" ? { hint } : {});
  }
  return null;
}

function parsed(line: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(line)) as Record<string, unknown>;
  } catch {
    // A crash of the runtime speaks no JSON; it is told by its end.
    return {};
  }
}
