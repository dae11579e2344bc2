/** The data directory: modes, the lock, and everything it refuses to take over. */
import { expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../errno.ts";
import { realMachine } from "../machine.ts";
import { createStorage } from "./storage.ts";
import { temporaryDirectory, temporaryStorage } from "./testing.ts";

const machine = realMachine();

function refusalOf(dataDir: string): SysError {
  try {
    createStorage({ machine, dataDir, migrations: [] }).close();
  } catch (error) {
    if (error instanceof SysError) return error;
    throw error;
  }
  throw new Error(`"${dataDir}" was taken`);
}

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

test("the directory is made, and is its owner's alone", async () => {
  await using at = temporaryStorage();
  await at.storage.kv.set({ appId: "app_a", userId: null }, { key: "k", value: 1 });
  for (const name of ["", "run", "volumes"]) expect(modeOf(join(at.dataDir, name))).toBe("700");
  for (const name of ["data.db", "data.db-wal", "data.db-shm", "logs.db", "run/fazt.pid"]) {
    expect(modeOf(join(at.dataDir, name))).toBe("600");
  }
});

test("a directory that others could read is closed to them", async () => {
  using at = temporaryDirectory();
  chmodSync(at.path, 0o755);
  await createStorage({ machine, dataDir: at.path, migrations: [] }).close();
  expect(modeOf(at.path)).toBe("700");
});

test("a second kernel is refused with the first one's pid: EBUSY", async () => {
  await using at = temporaryStorage();
  const refused = refusalOf(at.dataDir);
  expect(refused.code).toBe("EBUSY");
  expect(refused.message).toContain(`pid ${process.pid}`);
  // The refusal must not have loosened the lock or harmed the holder.
  expect(refusalOf(at.dataDir).code).toBe("EBUSY");
  await at.storage.kv.set({ appId: "app_a", userId: null }, { key: "k", value: 1 });
});

test("another process is refused too, and let in after close", async () => {
  await using at = temporaryStorage();
  const open = `
    import { createStorage } from ${JSON.stringify(join(import.meta.dir, "mod.ts"))};
    import { realMachine } from ${JSON.stringify(join(import.meta.dir, "../machine.ts"))};
    try {
      const dataDir = process.argv.at(-1);
      await createStorage({ machine: realMachine(), dataDir, migrations: [] }).close();
      console.log("opened");
    } catch (error) {
      console.log(error.code, error.message);
    }`;
  const child = async () => {
    const process_ = Bun.spawn([process.execPath, "-e", open, at.dataDir], { stdout: "pipe" });
    return (await process_.stdout.text()).trim();
  };
  expect(await child()).toContain(`EBUSY cannot open "${at.dataDir}": kernel with pid`);
  await at.storage.close();
  expect(existsSync(join(at.dataDir, "run", "fazt.pid"))).toBe(false);
  expect(await child()).toBe("opened");
});

test("a directory of something else is refused untouched: EBADMSG", () => {
  using at = temporaryDirectory();
  writeFileSync(join(at.path, "thesis.txt"), "mine");
  chmodSync(at.path, 0o755);
  const refused = refusalOf(at.path);
  expect(refused.code).toBe("EBADMSG");
  expect(refused.message).toContain('"thesis.txt"');
  expect(refused.hint).toContain("empty directory");
  expect(readdirSync(at.path)).toEqual(["thesis.txt"]);
  expect(modeOf(at.path)).toBe("755");
});

test("a data.db that is no database is refused and kept: EBADMSG", async () => {
  using at = temporaryDirectory();
  const text = "no database at all, but long enough to be looked at ".repeat(40);
  writeFileSync(join(at.path, "data.db"), text);
  const refused = refusalOf(at.path);
  expect(refused.code).toBe("EBADMSG");
  expect(refused.hint).not.toBeNull();
  expect(await Bun.file(join(at.path, "data.db")).text()).toBe(text);
  // Refused again, and not "busy": the failed attempt freed everything.
  expect(refusalOf(at.path).code).toBe("EBADMSG");
});

test("a data.db whose schema page is torn is refused: EBADMSG", async () => {
  using at = temporaryDirectory();
  const dataDir = join(at.path, "data");
  await createStorage({ machine, dataDir, migrations: [] }).close();
  const bytes = await Bun.file(join(dataDir, "data.db")).bytes();
  bytes.fill(0x5a, 100, 4000);
  writeFileSync(join(dataDir, "data.db"), bytes);
  expect(refusalOf(dataDir).code).toBe("EBADMSG");
});

test("a file in the place of the directory: ENOTDIR", () => {
  using at = temporaryDirectory();
  const path = join(at.path, "file");
  writeFileSync(path, "");
  expect(refusalOf(path).code).toBe("ENOTDIR");
  expect(refusalOf(join(path, "below")).code).toBe("ENOTDIR");
});

/** Runs as nobody while root runs the tests: root has every right. */
function withoutRights<T>(run: () => T): T {
  if (process.getuid?.() !== 0) return run();
  process.seteuid?.(65_534);
  try {
    return run();
  } finally {
    process.seteuid?.(0);
  }
}

test("a directory without rights, or in one: EACCES", () => {
  using at = temporaryDirectory();
  const path = join(at.path, "closed");
  mkdirSync(path, { mode: 0o000 });
  expect(withoutRights(() => refusalOf(path)).code).toBe("EACCES");
  expect(withoutRights(() => refusalOf(join(path, "data"))).code).toBe("EACCES");
});

test("a directory one may read but not write: EACCES", () => {
  using at = temporaryDirectory();
  const path = join(at.path, "shared");
  mkdirSync(path);
  chmodSync(at.path, 0o755);
  chmodSync(path, 0o555);
  expect(withoutRights(() => refusalOf(path)).code).toBe("EACCES");
});

test("a volume is a directory of its app, and dropping it leaves the others", async () => {
  await using at = temporaryStorage();
  const one = at.storage.volumeDir("app_one");
  const two = at.storage.volumeDir("app_two");
  expect(one).toBe(join(at.dataDir, "volumes", "app_one"));
  // The app's own user looks into it; the directory above keeps everybody else out.
  expect(modeOf(one)).toBe("755");
  expect(modeOf(join(at.dataDir, "volumes"))).toBe("700");
  writeFileSync(join(one, "app.db"), "x");
  writeFileSync(join(two, "app.db"), "x");
  await at.storage.dropVolume("app_one");
  await at.storage.dropVolume("app_one");
  expect(existsSync(one)).toBe(false);
  expect(existsSync(join(two, "app.db"))).toBe(true);
  expect(() => at.storage.volumeDir("../etc")).toThrow("app id");
});
