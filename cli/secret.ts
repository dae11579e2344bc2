/**
 * Values that must not stand on a command line: from a file, from standard input, or typed on the
 * terminal without being shown. Of a file the end of its last line is not part of the secret.
 */
import { readFileSync } from "node:fs";
import { type Errno, isErrno, SysError } from "../kernel/errno.ts";
import type { Parameter } from "./parameter.ts";
import type { Arguments } from "./parse.ts";
import type { Terminal } from "./terminal.ts";
import { UsageError } from "./usage.ts";
import { displayName, parseValue } from "./value.ts";

/** Secrets are short; a file that is not is the wrong file. */
const secretBytesMax = 1024 * 1024;

const bare = (text: string): string => text.replace(/\r?\n$/, "");

/** A failure of this side's file system as an errno of ours. */
export function fileError(action: string, path: string, error: unknown): SysError {
  const raw = (error as { code?: unknown } | null)?.code;
  const code: Errno = isErrno(raw) ? raw : "EIO";
  const states: Readonly<Record<string, string>> = {
    ENOENT: "no such file or directory",
    EACCES: "permission denied",
    EISDIR: "is a directory",
    ENOTDIR: "not a directory",
    ENOSPC: "no room is left there",
  };
  const state = states[code] ?? (error as Error).message;
  const hint =
    code === "ENOSPC" ? { hint: "free space there, or name a file on another disk" } : {};
  return new SysError(code, `cannot ${action} "${path}": ${state}`, { ...hint, cause: error });
}

async function fromInput(terminal: Terminal): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of terminal.input()) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > secretBytesMax) throw new UsageError("standard input is no secret: too long");
  }
  return bare(text + decoder.decode());
}

/** What is asked for; `bytes` in a file become base64, unless they are that already. */
interface Sought {
  readonly what: string;
  readonly bytes?: boolean;
}

const isBase64 = (text: string): boolean =>
  /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0;

/**
 * A secret from its file (`-` is standard input); without one it is typed, or is standard input
 * when nobody is there to type.
 */
async function readSecret(
  terminal: Terminal,
  path: string | null,
  { what, bytes = false }: Sought,
): Promise<string> {
  if (path === null && terminal.inputIsTty) return terminal.askHidden(`${what}: `);
  if (path === null || path === "-") return await fromInput(terminal);
  try {
    const found = readFileSync(path);
    const text = bare(found.toString("utf8"));
    return bytes && !isBase64(text) ? found.toString("base64") : text;
  } catch (error) {
    throw fileError("read", path, error);
  }
}

/** A secret that will be kept: what is typed unseen is typed twice. */
export async function readNewSecret(
  terminal: Terminal,
  path: string | null,
  sought: Sought,
): Promise<string> {
  const text = await readSecret(terminal, path, sought);
  if (path !== null || !terminal.inputIsTty) return text;
  if (terminal.askHidden("once more: ") === text) return text;
  throw new UsageError("these are not the same");
}

/** Whose secrets are wanted, and whether they are new ones. */
export interface Wanted {
  readonly parameters: readonly Parameter[];
  readonly args: Arguments;
  readonly confirm: boolean;
}

/** The input of a command, with its secrets read. */
export async function withSecrets(
  terminal: Terminal,
  { parameters, args, confirm }: Wanted,
): Promise<Record<string, unknown>> {
  const input: Record<string, unknown> = { ...args.input };
  let inputTaken = args.upload === "-";
  const assertFree = (of: Parameter) => {
    if (inputTaken) throw new UsageError(`standard input is taken: give ${displayName(of)}`);
    inputTaken = true;
  };
  for (const of of parameters.filter((one) => one.fromFile)) {
    const file = args.files[of.name] ?? null;
    if (file === null && (!of.required || of.name in input)) continue;
    if (file === "-" || (file === null && !terminal.inputIsTty)) assertFree(of);
    const what = of.spelling.replaceAll("-", " ");
    const read = confirm && of.secret ? readNewSecret : readSecret;
    input[of.name] = parseValue(of, await read(terminal, file, { what, bytes: of.bytes }));
  }
  return input;
}
