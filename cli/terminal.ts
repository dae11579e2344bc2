/**
 * The command's way to the outside: standard output and error, standard input, the environment.
 * Everything the command says passes here, so that a test can hold all of it.
 *
 * Rules: `write` waits until the reader has room, and throws ClosedPipe once nobody reads any more,
 * which ends the command quietly (`fazt app ls | head -1`). Colours and widths only on a terminal.
 */
import { readSync } from "node:fs";
import { errnos, isErrno, SysError } from "../kernel/errno.ts";

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a person reads standard output. */
  readonly isTty: boolean;
  /** Whether a person is at standard input. */
  readonly inputIsTty: boolean;
  /** Columns of the terminal; null when standard output is none. */
  readonly columns: number | null;
  readonly color: boolean;
  /** Whether what is written is held back a screen at a time already. */
  readonly pages: boolean;
  /** To standard output. */
  write(data: string | Uint8Array): Promise<void>;
  /** Resolves when everything written is out; throws what kept it from getting there. */
  flush(): Promise<void>;
  /** To standard error. */
  complain(text: string): void;
  /** Standard input as it comes. */
  input(): ReadableStream<Uint8Array>;
  /** One line that does not appear on the screen. */
  askHidden(question: string): string;
}

/** Nobody reads standard output any more. */
export class ClosedPipe extends Error {
  override readonly name = "ClosedPipe";
}

const backspace = 0x7f;
const interrupt = 0x03;
const endOfInput = 0x04;

/** Reads a line in raw mode, byte by byte, from the terminal itself. ECANCELED on Ctrl-C. */
function readHidden(): string {
  const fd = process.stdin.fd;
  const bytes: number[] = [];
  const one = new Uint8Array(1);
  process.stdin.setRawMode(true);
  try {
    while (readSync(fd, one) > 0) {
      const byte = one[0] ?? 0;
      if (byte === 0x0d || byte === 0x0a) break;
      if (byte === interrupt || byte === endOfInput) {
        throw new SysError("ECANCELED", "interrupted");
      }
      if (byte === backspace || byte === 0x08) bytes.pop();
      else if (byte === 0x15) bytes.length = 0;
      else bytes.push(byte);
    }
  } finally {
    process.stdin.setRawMode(false);
    process.stderr.write("\n");
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

/** What became of a stream nobody can write to. */
function writeError(error: NodeJS.ErrnoException): Error {
  if (error.code === "EPIPE") return new ClosedPipe();
  const code = isErrno(error.code) ? error.code : "EIO";
  const state = code === "EIO" ? error.message : errnos[code].meaning;
  return new SysError(code, `cannot write to standard output: ${state}`, { cause: error });
}

/** Standard output: `write` waits for room, `flush` until all of it is out. */
function writer(stream: NodeJS.WriteStream): Pick<Terminal, "write" | "flush"> {
  let failure: Error | null = null;
  let waiting: (() => void)[] = [];
  const wake = () => {
    const woken = waiting;
    waiting = [];
    for (const one of woken) one();
  };
  const settle = () =>
    new Promise<void>((resolve, reject) => {
      waiting.push(() => (failure === null ? resolve() : reject(failure)));
      if (failure !== null) reject(failure);
    });
  stream.on("error", (error: NodeJS.ErrnoException) => {
    failure ??= writeError(error);
    wake();
  });
  stream.on("drain", () => wake());
  return {
    write: async (data) => {
      if (failure !== null) throw failure;
      if (!stream.write(data)) await settle();
    },
    flush: async () => {
      const settled = settle();
      stream.write("", (error) => {
        if (error) failure ??= writeError(error);
        wake();
      });
      await settled;
    },
  };
}

/** The terminal of this process. */
export function realTerminal(): Terminal {
  const { env, stdout, stderr, stdin } = process;
  const isTty = stdout.isTTY === true;
  const colorless = (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  return {
    env,
    isTty,
    inputIsTty: stdin.isTTY === true,
    get columns() {
      // A serial line has no size of its own: who started this may know it.
      return isTty ? stdout.columns || Number(env["COLUMNS"]) || 80 : null;
    },
    color: isTty && !colorless,
    pages: false,
    ...writer(stdout),
    complain: (text) => {
      stderr.write(text);
    },
    input: () => Bun.stdin.stream(),
    askHidden: (question) => {
      stderr.write(question);
      return readHidden();
    },
  };
}
