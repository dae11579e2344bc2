/**
 * Becoming another program: execve(2), so that the process that was started (by systemd, a shell, a
 * container) is the kernel itself, whichever slot it comes from.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";

/** Texts as C has them, with a zero at the end; kept alive as long as the pointers are. */
function vector(texts: readonly string[]): {
  readonly list: BigUint64Array;
  readonly kept: Buffer[];
} {
  const kept = texts.map((text) => Buffer.from(`${text}\0`));
  const list = new BigUint64Array(texts.length + 1);
  for (const [at, bytes] of kept.entries()) list[at] = BigInt(ptr(bytes));
  return { list, kept };
}

/** Never returns when it works; when it returns, this program goes on as it was. */
export function become(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): void {
  try {
    const { symbols } = dlopen("libc.so.6", {
      execve: { args: [FFIType.ptr, FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
    });
    const path = Buffer.from(`${program}\0`);
    const argv = vector([program, ...args]);
    const set = Object.entries(env).filter(([, value]) => value !== undefined);
    const envp = vector(set.map(([name, value]) => `${name}=${value}`));
    symbols.execve(ptr(path), ptr(argv.list), ptr(envp.list));
  } catch {
    // Another C library than expected.
  }
}
