/**
 * A large machine, and what it costs: `node ci/with.mjs scale DIR [FILES] [GIGABYTES] [APPS]` fills
 * an empty directory (1,000,000 files, 10 GB, 100 apps unless told otherwise; one that has been filled
 * is taken as it is), starts a kernel on it
 * in a process of its own, and prints time and memory of boot, ls, find, du, check, gc and backup.
 *
 * Files are put by SQL, many a transaction, in the shape that fs gives them: a file a second would
 * take a week. `storage check` afterwards says whether that shape is right.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { deployed } from "../tests/deployed.ts";
import { testKernel } from "../tests/kernel.ts";
import { type KernelProcess, startProcess } from "../tests/process.ts";

const chunkBytes = 1024 * 1024;
const perDirectory = 1_000;

interface Scale {
  readonly dataDir: string;
  readonly files: number;
  readonly gigabytes: number;
  readonly apps: number;
}

/** Fills the directory. */
async function fill({ dataDir, files, gigabytes, apps }: Scale): Promise<void> {
  const storageLimits = { diskUsedMax: 2 };
  const k = await testKernel({ dataDir, storageLimits });
  const { storage } = k.kernel;
  for (let n = 0; n < apps; n++) {
    await deployed(k, `app-${n}`, { files: { "index.html": `app ${n}` } });
  }
  const body = new Blob(["small"]).stream();
  const { hash } = await k.call<{ hash: string }>("fs.blob.put", {}, { body });
  await k.call("fs.mkdir", { path: "/home/many" });
  const many = storage.read.get<{ id: number }>("SELECT id FROM fs_inode WHERE name = 'many'")?.id;
  const inode =
    "INSERT INTO fs_inode (root, parent_id, name, kind, hash, size_bytes, mode, created_at, modified_at) " +
    "VALUES ('home', ?, ?, ?, ?, ?, ?, 1, 1) RETURNING id";
  for (let d = 0; d * perDirectory < files; d++) {
    await storage.write((tx) => {
      const dir = tx.get<{ id: number }>(inode, many ?? 0, `dir-${d}`, "dir", null, 0, 493);
      for (let f = 0; f < perDirectory; f++) {
        tx.get(inode, dir?.id ?? 0, `file-${f}.txt`, "file", hash, 5, 420);
      }
    });
  }
  await storage.write((tx) => {
    const all = "FROM fs_inode WHERE root = 'home'";
    tx.run(
      `UPDATE fs_tree SET used_bytes = (SELECT sum(size_bytes) ${all}), inodes = (SELECT count(*) ${all}) WHERE root = 'home'`,
    );
  });
  // Blobs of a release's size that a manifest would hold; here nobody: gc has them to remove.
  for (let g = 0; g < gigabytes * 10; g++) {
    const bytes = new Uint8Array(100 * chunkBytes).map((_, i) => (i * (g + 3)) >> 7);
    await k.call("fs.blob.put", {}, { body: new Blob([bytes]).stream() });
  }
  await k.close();
}

/** Memory that a process holds alone, MB: now, and most of what it ever had, files included. */
async function memoryOf(pid: number): Promise<string> {
  const text = await Bun.file(`/proc/${pid}/smaps_rollup`).text();
  const status = await Bun.file(`/proc/${pid}/status`).text();
  const mb = (kb: string | undefined) => (Number(kb) / 1024).toFixed(0);
  const own = mb(/^Anonymous:\s+([0-9]+)/m.exec(text)?.[1]);
  return `${own} MB own, peak resident ${mb(/^VmHWM:\s+([0-9]+)/m.exec(status)?.[1])} MB`;
}

async function measured(machine: KernelProcess, name: string, args: string[]): Promise<void> {
  const beganMs = performance.now();
  const { code, stdout, stderr } = await machine.fazt(...args);
  const tookMs = Math.round(performance.now() - beganMs);
  const memory = await memoryOf(machine.pid);
  const lines = stdout.split("\n").length - 1;
  process.stdout.write(`${name}: ${tookMs} ms, exit ${code}, ${lines} lines; kernel ${memory}\n`);
  if (code !== 0) process.stdout.write(`${stderr}\n`);
}

const [dataDir = "", files = "1000000", gigabytes = "10", apps = "100"] = process.argv.slice(2);
if (dataDir === "") throw new Error("name an empty directory");
const beganMs = performance.now();
const scale = { dataDir, files: Number(files), gigabytes: Number(gigabytes), apps: Number(apps) };
if (!existsSync(join(dataDir, "data.db"))) await fill(scale);
process.stdout.write(`filled in ${Math.round(performance.now() - beganMs)} ms\n`);
await using machine = await startProcess({ dataDir, claimed: false });
process.stdout.write(`boot: ${machine.ready.bootMs} ms; kernel ${await memoryOf(machine.pid)}\n`);
await measured(machine, "ls of 1,000 directories", ["fs", "ls", "/home/many"]);
await measured(machine, "ls of 1,000 files", ["fs", "ls", "/home/many/dir-7"]);
await measured(machine, "find of one name", ["fs", "find", "/home", "--name", "file-7.txt"]);
await measured(machine, "du", ["fs", "du", "/home"]);
await measured(machine, "app ls", ["app", "ls"]);
await measured(machine, "check", ["storage", "check"]);
const backup = join(dataDir, "..", "scale-backup");
await measured(machine, "backup", ["storage", "backup", backup]);
rmSync(backup, { force: true });
await measured(machine, "gc", ["storage", "gc"]);
