/** Backups of a running kernel: whole, verified to the bit, restored wholly or not at all. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { launcher } from "../../../init/launcher.ts";
import { damages, generator, seedOf } from "../../../tests/damage.ts";
import { mayMount, smallDisk } from "../../../tests/disk.ts";
import { type TestKernel, testKernel } from "../../../tests/kernel.ts";
import type { Bytes } from "../../call.ts";
import { SysError } from "../../errno.ts";
import { temporaryDirectory } from "../testing.ts";
import type { RestoreOptions } from "./restore.ts";
import { restoreBackup, verifyBackup } from "./restore.ts";

const noKey = { passphrase: null, identities: [] };
const owner = { appId: "owner", userId: null };

async function backUp(k: TestKernel, input: object = {}): Promise<Uint8Array<ArrayBuffer>> {
  const { stream } = await k.call<Bytes>("storage.backup", input);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
}

const restore = (bytes: Uint8Array, dataDir: string, rest: Partial<RestoreOptions> = {}) =>
  restoreBackup(pieces(bytes), { dataDir, force: false, key: null, ...noKey, ...rest });

async function refusal(work: Promise<unknown>): Promise<SysError> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof SysError) return error;
  throw error ?? new Error("was not refused");
}

/** What the check finds, but volumes without an app: those are these tests' own. */
const faults = async (k: TestKernel) =>
  (await k.kernel.storage.check()).problems.filter((text) => !text.startsWith("app: volumes"));

/** A volume as an app would have it: rows in the WAL, its file open. */
function volume(k: TestKernel, appId: string): Database {
  const db = new Database(join(k.kernel.storage.volumeDir(appId), "app.db"));
  db.run("PRAGMA journal_mode = WAL");
  db.run("CREATE TABLE note (text TEXT)");
  db.run("INSERT INTO note VALUES ('before')");
  return db;
}

const noteCount = (dataDir: string, appId: string): number => {
  using db = new Database(join(dataDir, "volumes", appId, "app.db"));
  return db.query<{ n: number }, []>("SELECT count(*) AS n FROM note").get()?.n ?? 0;
};

const set = (k: TestKernel, n: number) =>
  k.kernel.storage.kv.set(owner, { key: `k/${n}`, value: "v".repeat(n % 9 === 0 ? 60_000 : 60) });

test("a backup taken under writes is one moment, and restores on an empty directory", async () => {
  await using k = await testKernel();
  using db = volume(k, "app_a");
  for (let n = 0; n < 50; n++) await set(k, n);
  let writing = true;
  let written = 50;
  const writer = (async () => {
    while (writing) await set(k, written++);
  })();
  const bytes = await backUp(k);
  writing = false;
  await writer;
  db.run("INSERT INTO note VALUES ('after')");
  expect(written).toBeGreaterThan(50);

  using at = temporaryDirectory();
  const dataDir = join(at.path, "elsewhere");
  const done = await restore(bytes, dataDir);
  expect(done).toMatchObject({ key: "absent", unlocked: [], fazt: "0.0.0-test" });
  await using there = await testKernel({ dataDir, claimed: false });
  expect(await faults(there)).toEqual([]);
  expect(noteCount(dataDir, "app_a")).toBe(1);
  const has = (n: number) => there.kernel.storage.kv.get(owner, `k/${n}`) !== null;
  for (let n = 0; n < 50; n++) expect(has(n)).toBe(true);
  // A prefix of what was written: one moment, not a mixture.
  const all = Array.from({ length: written }, (_, n) => has(n));
  expect(all.lastIndexOf(true)).toBe(all.indexOf(false) < 0 ? written - 1 : all.indexOf(false) - 1);
  expect(readdirSync(dataDir).filter((name) => name.startsWith("restore"))).toEqual([]);
});

test("the key travels only under encryption, and its secrets open on the other machine", async () => {
  await using k = await testKernel();
  const sealed = k.kernel.security.seal(new TextEncoder().encode("s3cret"), "test");
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  const plain = await backUp(k);
  const forKey = await backUp(k, { recipients: [recipient] });
  const forPhrase = await backUp(k, { passphrase: "gravel otter" });
  const key = await Bun.file(join(k.dataDir, "machine.key")).bytes();
  expect(Buffer.from(plain).includes(Buffer.from(key))).toBe(false);
  expect(Buffer.from(forKey).includes("data.db")).toBe(false);

  const opened = async (bytes: Uint8Array, rest: Partial<RestoreOptions>) => {
    using at = temporaryDirectory();
    const dataDir = join(at.path, "data");
    const done = await restore(bytes, dataDir, rest);
    await using there = await testKernel({ dataDir, claimed: false });
    const text = new TextDecoder().decode(there.kernel.security.unseal(sealed, "test"));
    return [done.key, text];
  };
  expect(await opened(forKey, { identities: [identity] })).toEqual(["backup", "s3cret"]);
  expect(await opened(forPhrase, { passphrase: "gravel otter" })).toEqual(["backup", "s3cret"]);
  expect(await opened(plain, { key })).toEqual(["given", "s3cret"]);

  const refused = async (unlock: Partial<RestoreOptions>) =>
    (await refusal(verifyBackup(pieces(forPhrase), { ...noKey, ...unlock }))).code;
  expect(await refused({})).toBe("ENOKEY");
  expect(await refused({ passphrase: "gravel utter" })).toBe("EKEYREJECTED");
  const cut = forKey.subarray(0, forKey.length - 20);
  const unlock = { passphrase: null, identities: [identity] };
  expect((await refusal(verifyBackup(pieces(cut), unlock))).code).toBe("EBADMSG");
}, 60_000);

describe("damage", () => {
  test("a flipped bit or a missing end anywhere is EBADMSG, and named", async () => {
    await using k = await testKernel();
    using _ = volume(k, "app_a");
    const bytes = await backUp(k);
    const names = new Set<string>();
    for (const { what, bytes: bad } of damages(bytes, 600, generator(seedOf()))) {
      // Noise may be what was there.
      if (Buffer.from(bad).equals(bytes)) continue;
      const error = await refusal(verifyBackup(pieces(bad), noKey));
      expect([what, error.code]).toEqual([what, "EBADMSG"]);
      expect(error.message).toMatch(/section "|the header|the trailer|no fazt backup|the file/);
      names.add(error.message);
    }
    expect([...names].join("\n")).toMatch(/section "data.db(-wal)?" is damaged/);
    expect([...names].join("\n")).toContain("the trailer");
    const longer = Buffer.concat([bytes, Buffer.of(0)]);
    expect((await refusal(verifyBackup(pieces(longer), noKey))).message).toContain("goes on");
  }, 60_000);

  test("the same of an encrypted one: nothing but its key and its bytes open it", async () => {
    await using k = await testKernel();
    const identity = await generateX25519Identity();
    const bytes = await backUp(k, { recipients: [await identityToRecipient(identity)] });
    const unlock = { passphrase: null, identities: [identity] };
    for (const { what, bytes: bad } of damages(bytes, 120, generator(seedOf()))) {
      if (Buffer.from(bad).equals(bytes)) continue;
      const error = await refusal(verifyBackup(pieces(bad), unlock));
      // Of a damaged head nobody can say whether the key is another one.
      expect([what, error.code]).toEqual([what, expect.stringMatching(/^(EBADMSG|EKEYREJECTED)$/)]);
    }
  }, 60_000);

  test("through the whole of a restore nothing is left behind, and the old world stays", async () => {
    await using k = await testKernel();
    await set(k, 1);
    const bytes = await backUp(k);
    await k.close();
    const listed = () => readdirSync(k.dataDir).sort();
    const before = listed();
    for (const { what, bytes: bad } of damages(bytes, 60, generator(seedOf()))) {
      if (Buffer.from(bad).equals(bytes)) continue;
      const error = await refusal(restore(bad, k.dataDir, { force: true }));
      expect([what, error.code, listed()]).toEqual([what, "EBADMSG", before]);
    }
    await using again = await testKernel({ dataDir: k.dataDir });
    expect(again.kernel.storage.kv.get(owner, "k/1")).not.toBeNull();
  }, 60_000);

  test("a damaged backup changes nothing, with --force and without", async () => {
    await using k = await testKernel();
    await set(k, 1);
    const bytes = await backUp(k);
    bytes[bytes.length - 40] = (bytes[bytes.length - 40] ?? 0) ^ 1;
    using at = temporaryDirectory();
    const empty = join(at.path, "empty");
    expect((await refusal(restore(bytes, empty))).code).toBe("EBADMSG");
    expect(readdirSync(empty).sort()).toEqual(["run", "volumes"]);
    await using held = await testKernel();
    await set(held, 7);
    await held.close();
    expect((await refusal(restore(bytes, held.dataDir, { force: true }))).code).toBe("EBADMSG");
    await using again = await testKernel({ dataDir: held.dataDir });
    expect(again.kernel.storage.kv.get(owner, "k/7")).not.toBeNull();
  });
});

test("a directory in use or not empty is refused; --force replaces all of it", async () => {
  await using k = await testKernel();
  await set(k, 1);
  const bytes = await backUp(k);
  await using other = await testKernel();
  using _ = volume(other, "app_old");
  await set(other, 2);
  expect((await refusal(restore(bytes, other.dataDir, { force: true }))).code).toBe("EBUSY");
  await other.close();
  expect((await refusal(restore(bytes, other.dataDir))).code).toBe("EEXIST");
  expect(await restore(bytes, other.dataDir, { force: true })).toMatchObject({ key: "kept" });
  await using there = await testKernel({ dataDir: other.dataDir, claimed: false });
  expect(there.kernel.storage.kv.get(owner, "k/1")).not.toBeNull();
  expect(there.kernel.storage.kv.get(owner, "k/2")).toBeNull();
  expect(existsSync(join(other.dataDir, "volumes", "app_old"))).toBe(false);
});

test("an app cannot lead a backup astray, nor hold it up for ever", async () => {
  await using k = await testKernel();
  symlinkSync(
    join(k.dataDir, "machine.key"),
    join(k.kernel.storage.volumeDir("app_link"), "app.db"),
  );
  mkdirSync(join(k.kernel.storage.volumeDir("app_dir"), "app.db"));
  Bun.spawnSync(["mkfifo", join(k.kernel.storage.volumeDir("app_pipe"), "app.db")]);
  await Bun.write(join(k.kernel.storage.volumeDir("app_junk"), "app.db"), "junk");
  using greedy = volume(k, "app_greedy");
  greedy.run("PRAGMA locking_mode = EXCLUSIVE");
  greedy.run("INSERT INTO note VALUES ('mine')");
  const bytes = await backUp(k);
  const { sections, unlocked } = await verifyBackup(pieces(bytes), noKey);
  expect(sections.filter((name) => /link|dir|pipe/.test(name))).toEqual([]);
  expect([...unlocked].sort()).toEqual(["volumes/app_greedy/app.db", "volumes/app_junk/app.db"]);
  expect(k.kernel.storage.logs.query({ app: "kernel", grep: "left out" }).length).toBe(3);
}, 30_000);

test("one at a time; a receiver that goes away frees the place; errnos are told", async () => {
  await using k = await testKernel();
  for (let n = 0; n < 200; n++) await set(k, n * 9);
  const { stream } = await k.call<Bytes>("storage.backup");
  expect((await refusal(k.call("storage.backup"))).code).toBe("EBUSY");
  await stream.cancel();
  expect((await backUp(k)).length).toBeGreaterThan(100_000);
  const wrong = k.call("storage.backup", { recipients: ["age1nobody"] });
  expect((await refusal(wrong)).code).toBe("EINVAL");
  const both = k.call("storage.backup", { recipients: ["age1x"], passphrase: "x" });
  expect((await refusal(both)).code).toBe("EINVAL");
});

/** The real command, killed after a while; answers whether it came to its end. */
async function killedRestore(file: string, dataDir: string, afterMs: number): Promise<boolean> {
  const command = [...launcher().command.slice(0, -1), "storage", "restore", file];
  const child = Bun.spawn([...command, "--data", dataDir, "--force"], {
    stdout: "ignore",
    stderr: "ignore",
  });
  // tidy: allow banned-call: the moment of the kill is what varies
  const timer = setTimeout(() => child.kill("SIGKILL"), afterMs);
  const exitCode = await child.exited;
  clearTimeout(timer);
  return exitCode === 0;
}

test("a restore killed at any moment leaves the old machine whole or the new one", async () => {
  await using k = await testKernel();
  using _ = volume(k, "app_new");
  for (let n = 0; n < 60; n++) await set(k, n * 9);
  using at = temporaryDirectory();
  const file = join(at.path, "fazt.bak");
  await Bun.write(file, await backUp(k));
  const dataDir = join(at.path, "old");
  const rounds = 24;
  const seen = { old: 0, new: 0 };
  for (let round = 0; round < rounds; round++) {
    Bun.spawnSync(["rm", "-rf", dataDir]);
    const old = await testKernel({ dataDir });
    volume(old, "app_old").close();
    await set(old, 1);
    await old.close();
    const afterMs = round === rounds - 1 ? 30_000 : 60 + round * 10;
    const ended = await killedRestore(file, dataDir, afterMs);
    await using there = await testKernel({ dataDir, claimed: false });
    const isNew = there.kernel.storage.kv.get(owner, "k/9") !== null;
    seen[isNew ? "new" : "old"]++;
    if (ended) expect(isNew).toBe(true);
    expect(there.kernel.storage.kv.get(owner, "k/1") !== null).toBe(!isNew);
    expect(readdirSync(join(dataDir, "volumes"))).toEqual([isNew ? "app_new" : "app_old"]);
    expect(await faults(there)).toEqual([]);
  }
  expect(seen.old).toBeGreaterThan(0);
  expect(seen.new).toBeGreaterThan(0);
}, 120_000);

test.skipIf(!mayMount)(
  "a disk that fills at any point of a restore: ENOSPC, nothing changed",
  async () => {
    await using k = await testKernel();
    for (let n = 0; n < 40; n++) await set(k, n * 9);
    const bytes = await backUp(k);
    for (const spareKb of [0, 64, 300, 900, 2_000]) {
      using disk = smallDisk(12);
      const dataDir = join(disk.path, "data");
      await restore(bytes, dataDir);
      const filler = join(disk.path, "more");
      const free = Number(Bun.spawnSync(["stat", "-fc", "%a", disk.path]).stdout.toString()) * 4;
      Bun.spawnSync(["dd", "if=/dev/zero", `of=${filler}`, "bs=1024", `count=${free - spareKb}`]);
      const error = await refusal(restore(bytes, dataDir, { force: true }));
      expect([spareKb, error.code]).toEqual([spareKb, "ENOSPC"]);
      Bun.spawnSync(["rm", filler]);
      await using there = await testKernel({ dataDir, claimed: false });
      expect(there.kernel.storage.kv.get(owner, "k/351")).not.toBeNull();
    }
  },
);

test.skipIf(!mayMount)("a full disk is still backed up: a backup takes no room", async () => {
  using disk = smallDisk(16);
  await using k = await testKernel({ dataDir: join(disk.path, "data") });
  await set(k, 9);
  disk.fill();
  const bytes = await backUp(k);
  expect(await verifyBackup(pieces(bytes), noKey)).toMatchObject({ format: 1 });
  disk.empty();
});

test("the command writes a file, verifies it, restores it", async () => {
  await using k = await testKernel();
  await set(k, 3);
  using at = temporaryDirectory();
  const file = join(at.path, "fazt.bak");
  const pass = join(at.path, "pass");
  await Bun.write(pass, "gravel otter\n");
  await Bun.write(file, await backUp(k, { passphrase: "gravel otter" }));
  chmodSync(file, 0o400);
  const fazt = (...args: string[]) =>
    Bun.spawnSync([...launcher().command.slice(0, -1), "storage", ...args, "--json"]);
  const locked = fazt("verify", file);
  expect([locked.exitCode, JSON.parse(locked.stderr.toString()).error.code]).toEqual([4, "ENOKEY"]);
  const dataDir = join(at.path, "data");
  const done = fazt("restore", file, "--data", dataDir, "--passphrase-file", pass);
  expect(JSON.parse(done.stdout.toString())).toMatchObject({ dataDir, key: "backup" });
  expect(fazt("restore", file, "--data", dataDir, "--passphrase-file", pass).exitCode).toBe(1);
}, 60_000);
