/**
 * The one closed table of errors: every refusal of the system is an errno with a message and a hint.
 *
 * Rules: a code not listed here does not exist; status, exit code and retryability are read from
 * this table and from nowhere else; the public message never carries a stack or an inner cause.
 * Meanings follow errno(3); ENOKEY and EKEYREJECTED are Linux's own words for credentials.
 */

/** What one code means to each surface. `exit` is the CLI's exit code (contract: 1, 3 or 4). */
export interface ErrnoRow {
  readonly meaning: string;
  readonly status: number;
  readonly exit: 1 | 3 | 4;
  readonly retryable: boolean;
}

const row = (
  meaning: string,
  status: number,
  rest: { exit?: 3 | 4; retryable?: true } = {},
): ErrnoRow => ({
  meaning,
  status,
  exit: rest.exit ?? 1,
  retryable: rest.retryable ?? false,
});

/** Code → meaning, HTTP status, exit code, retryable. Append-only. */
export const errnos = {
  EACCES: row("no right to this object", 403, { exit: 4 }),
  EADDRINUSE: row("address already in use", 409),
  EAGAIN: row("try again later", 429, { retryable: true }),
  EBADMSG: row("data is corrupt", 422),
  EBUSY: row("in use by another", 409, { retryable: true }),
  ECANCELED: row("canceled by the caller", 499),
  ECONNREFUSED: row("cannot reach the kernel", 502, { exit: 3, retryable: true }),
  EDQUOT: row("own limit reached", 507),
  EEXIST: row("already exists", 409),
  EFBIG: row("larger than the limit", 413),
  EINVAL: row("bad argument", 400),
  EIO: row("device error or unknown", 500),
  EISDIR: row("is a directory", 409),
  EKEYREJECTED: row("credentials are wrong", 401, { exit: 4 }),
  ENOEXEC: row("program cannot run", 422),
  ENOKEY: row("credentials are needed", 401, { exit: 4 }),
  ENOENT: row("no such name", 404),
  ENOSPC: row("no space left", 507),
  ENOSYS: row("no such call", 501),
  ENOTDIR: row("not a directory", 409),
  ENOTEMPTY: row("directory not empty", 409),
  EPERM: row("never allowed to this caller", 403, { exit: 4 }),
  ERANGE: row("result out of range", 422),
  EROFS: row("read-only file system", 409),
  ESRCH: row("no such process", 404),
  ESTALE: row("what was compared with has changed", 409),
  ETIMEDOUT: row("took too long", 504, { retryable: true }),
} as const satisfies Record<string, ErrnoRow>;

export type Errno = keyof typeof errnos;

/** The shape of an error on every bridge (contract: `{"error":{…}}`). */
export interface ErrorBody {
  readonly code: Errno;
  readonly message: string;
  readonly hint: string | null;
  readonly call: string | null;
}

export interface SysErrorOptions {
  /** What to do about it, one imperative sentence without a final stop. */
  readonly hint?: string;
  /** The inner cause: logged, never shown to the caller. */
  readonly cause?: unknown;
  /** How long to wait before a retry is worth it, in milliseconds. */
  readonly retryAfterMs?: number;
}

/**
 * A refusal. Message grammar: action, quoted subject, colon, state:
 * `cannot mount "/mnt/x": no such directory`.
 */
export class SysError extends Error {
  override readonly name = "SysError";
  readonly code: Errno;
  readonly hint: string | null;
  readonly retryAfterMs: number | null;

  constructor(code: Errno, message: string, options: SysErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? null;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  /** The public half; `call` is filled in by the dispatcher. */
  toBody(call: string | null): ErrorBody {
    return { code: this.code, message: this.message, hint: this.hint, call };
  }
}

/** Whether a value is an errno of the table. */
export function isErrno(value: unknown): value is Errno {
  return typeof value === "string" && Object.hasOwn(errnos, value);
}
