/**
 * Assertions: always on, for our own mistakes only. A caller's mistake is a SysError; an assertion
 * that fails is a defect of fazt and is reported as EIO by the dispatcher.
 */

/** Throws when a thing that must be true is not. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** The value, which must be there. */
export function present<T>(value: T | null | undefined, what: string): T {
  assert(value !== null && value !== undefined, `${what} is present`);
  return value;
}
