/**
 * For the tests of security: the real domain on a real database in a directory of its own, with a
 * clock that stands still until it is told.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { anonymous, type Caller, localOwner } from "../caller.ts";
import { type Errno, SysError } from "../errno.ts";
import { type Machine, realMachine } from "../machine.ts";
import { createStorage, type Storage, type StorageOptions } from "../storage/mod.ts";
import { createSecurity, migrations, type NewToken, type Security } from "./mod.ts";

export const rootPass = "gravel otter lamp seven";

export interface Fixture {
  readonly dataDir: string;
  readonly machine: Machine;
  security: Security;
  storage: Storage;
  /** Resolves with the reason when it is to start afresh. */
  afresh(): Promise<string>;
  /** Moves the clock. */
  pass(ms: number): void;
  /** Closes everything and opens it again, as a restart does; `between` sees it closed. */
  restart(between?: () => void): Promise<void>;
  /** Restarts on a disk that counts as full. */
  fill(): Promise<void>;
  /** Claims the machine with its code. */
  claim(): Promise<NewToken>;
  /** The caller of a token's secret. */
  caller(token: string): Caller;
  close(): Promise<void>;
}

export function openFixture(): Fixture {
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-security-"));
  const real = realMachine();
  let now = real.now();
  const machine: Machine = { ...real, now: () => now };
  const afresh = Promise.withResolvers<string>();
  const open = (limits: NonNullable<StorageOptions["limits"]> = {}) => {
    const storage = createStorage({ machine, dataDir, migrations, limits });
    const startAfresh = (reason: string) => afresh.resolve(reason);
    return { storage, security: createSecurity({ machine, storage, dataDir, startAfresh }) };
  };
  const fixture: Fixture = {
    dataDir,
    machine,
    afresh: () => afresh.promise,
    ...open(),
    pass: (ms) => {
      now += ms;
    },
    async restart(between) {
      await fixture.storage.close();
      between?.();
      Object.assign(fixture, open());
    },
    async fill() {
      await fixture.storage.close();
      Object.assign(fixture, open({ diskUsedMax: 0 }));
    },
    claim: () =>
      fixture.security.claim(
        {
          code: fixture.security.setupCode() ?? "",
          rootPass,
          domain: "example.com",
          email: "me@example.com",
        },
        "192.0.2.1",
      ),
    caller(token) {
      const caller = fixture.security.authenticate({ kind: "token", secret: token }, null);
      if (caller === null) throw new Error("the token proves nobody");
      return caller;
    },
    async close() {
      await fixture.storage.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  return fixture;
}

/** The errno something is refused with; `null` when it is not. */
export async function refusal(work: () => unknown): Promise<Errno | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (error instanceof SysError) return error.code;
    throw error;
  }
}

export const atMachine = localOwner("socket");
export const stranger = anonymous("198.51.100.7");
