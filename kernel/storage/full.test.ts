/** A disk that is really full, and one that is really sealed: needs the right to mount a tmpfs. */
import { expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../errno.ts";
import { realMachine } from "../machine.ts";
import { createStorage } from "./storage.ts";
import { temporaryDirectory } from "./testing.ts";

const machine = realMachine();
const scope = { appId: "app_a", userId: null };

/** A file system of its own, unmounted at the end of the scope; null where it may not be made. */
function smallDisk(sizeBytes: number): ({ readonly path: string } & Disposable) | null {
  const at = temporaryDirectory();
  const path = join(at.path, "disk");
  mkdirSync(path);
  const mount = ["mount", "-t", "tmpfs", "-o", `size=${sizeBytes}`, "fazt-test", path];
  if (Bun.which("mount") === null || !Bun.spawnSync(mount).success) {
    at[Symbol.dispose]();
    return null;
  }
  const dispose = () => {
    Bun.spawnSync(["umount", path]);
    at[Symbol.dispose]();
  };
  return { path, [Symbol.dispose]: dispose };
}

const mayMount = (() => {
  using disk = smallDisk(1024 * 1024);
  return disk !== null;
})();
const why = mayMount ? "" : " (skipped: no right to mount a tmpfs)";

function refusalOf(work: () => unknown): SysError {
  try {
    work();
  } catch (error) {
    if (error instanceof SysError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

/** Leaves no byte free. */
function fillUp(path: string): void {
  const filler = join(path, "filler");
  expect(Bun.spawnSync(["dd", "if=/dev/zero", `of=${filler}`, "bs=4096"]).success).toBe(false);
}

/** Sets keys until one is refused; answers those acknowledged, and the refusal. */
async function fill(storage: ReturnType<typeof createStorage>, name: string) {
  const acknowledged: string[] = [];
  for (let n = 0; n < 1_000; n++) {
    const key = `${name}/${n}`;
    try {
      await storage.kv.set(scope, { key, value: "x".repeat(100_000) });
      acknowledged.push(key);
    } catch (error) {
      return { acknowledged, refused: key, error };
    }
  }
  throw new Error("the disk never filled");
}

test.skipIf(!mayMount)(`a full disk is ENOSPC, loses nothing and heals${why}`, async () => {
  using disk = smallDisk(24 * 1024 * 1024);
  if (disk === null) throw new Error("mounted a moment ago");
  const ballast = join(disk.path, "ballast");
  writeFileSync(ballast, new Uint8Array(6 * 1024 * 1024));
  const dataDir = join(disk.path, "data");
  const open = () =>
    createStorage({
      machine,
      dataDir,
      migrations: [],
      limits: { diskUsedMax: 2, ballastBytes: 0 },
    });

  const storage = open();
  const { acknowledged, refused, error } = await fill(storage, "one");
  expect(error).toBeInstanceOf(SysError);
  expect(error).toMatchObject({ code: "ENOSPC", hint: expect.stringContaining("free space") });
  expect(acknowledged.length).toBeGreaterThan(10);
  expect(storage.kv.get(scope, refused)).toBeNull();
  // A group that fails as a whole rejects everybody in it.
  const group = await Promise.allSettled(
    ["a", "b", "c"].map((key) => storage.kv.set(scope, { key, value: "x".repeat(500_000) })),
  );
  expect(group.map((outcome) => outcome.status)).toEqual(["rejected", "rejected", "rejected"]);
  for (const key of acknowledged) expect(storage.kv.get(scope, key)?.key).toBe(key);

  rmSync(ballast);
  const after = await storage.kv.set(scope, { key: "after", value: 1 });
  expect(after.value).toBe(1);
  await storage.close();

  const again = open();
  for (const key of [...acknowledged, "after"]) expect(again.kv.get(scope, key)?.key).toBe(key);
  expect(await again.check()).toMatchObject({ ok: true, problems: [] });
  expect(again.logs.query({ app: "kernel", level: "error" })[0]?.text).toStartWith("ENOSPC");
  await again.close();
});

test.skipIf(!mayMount)(`a kernel starts on a disk without one free byte${why}`, async () => {
  using disk = smallDisk(16 * 1024 * 1024);
  if (disk === null) throw new Error("mounted a moment ago");
  const dataDir = join(disk.path, "data");
  const open = () => createStorage({ machine, dataDir, migrations: [] });
  const before = open();
  await before.kv.set(scope, { key: "k", value: "x".repeat(100_000) });
  await before.close();
  fillUp(disk.path);

  const full = open();
  expect(full.status().mode).toBe("read-only");
  expect(full.kv.get(scope, "k")?.version).toBe(1);
  expect(await full.write(() => "login", { essential: true })).toBe("login");
  expect(await full.kv.rm(scope, "k")).toBe(true);
  await full.close();
});

test.skipIf(!mayMount)(`no room for a database at all: ENOSPC, and nothing is held${why}`, () => {
  using disk = smallDisk(256 * 1024);
  if (disk === null) throw new Error("mounted a moment ago");
  const open = () => createStorage({ machine, dataDir: join(disk.path, "data"), migrations: [] });
  fillUp(disk.path);
  expect(refusalOf(open).code).toBe("ENOSPC");
  expect(refusalOf(open).code).toBe("ENOSPC");
});

test.skipIf(!mayMount)(`a sealed file system: EROFS${why}`, async () => {
  using disk = smallDisk(8 * 1024 * 1024);
  if (disk === null) throw new Error("mounted a moment ago");
  const dataDir = join(disk.path, "data");
  const open = () => createStorage({ machine, dataDir, migrations: [] });
  await open().close();
  expect(Bun.spawnSync(["mount", "-o", "remount,ro", disk.path]).success).toBe(true);
  const refused = refusalOf(open);
  expect(refused.code).toBe("EROFS");
  expect(refused.hint).not.toBeNull();
});
