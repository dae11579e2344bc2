/**
 * A large machine, and what it costs: `node ci/with.mjs scale DIR [FILES] [GIGABYTES] [APPS]` fills
 * an empty directory (1,000,000 files, 10 GB, 100 apps unless told otherwise; one that has been filled
 * is taken as it is), starts a kernel on it
 * in a process of its own, and prints time and memory of boot, ls, find, du, check, backup, restore,
 * replica and gc, and how long a visitor waits meanwhile.
 *
 * Files are put by SQL, many a transaction, in the shape that fs gives them: a file a second would
 * take a week. `storage check` afterwards says whether that shape is right.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { deployed } from "../tests/deployed.ts";
import { testKernel } from "../tests/kernel.ts";
import { type KernelProcess, program, run, startProcess } from "../tests/process.ts";

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

/** Peak resident memory of the kernel's children that were seen, MB by the life they live. */
class Children {
  readonly #peaks = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(kernel: number) {
    this.#timer = setInterval(() => this.#look(kernel), 250);
  }

  #look(kernel: number): void {
    for (const pid of textOf(`/proc/${kernel}/task/${kernel}/children`).trim().split(" ")) {
      const life = textOf(`/proc/${pid}/cmdline`)
        .split("\0")
        .find((word) => lives.test(word));
      const kb = Number(/^VmHWM:\s+([0-9]+)/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0);
      if (life !== undefined) this.#peaks.set(life, Math.max(this.#peaks.get(life) ?? 0, kb));
    }
  }

  end(): string {
    clearInterval(this.#timer);
    return [...this.#peaks].map(([life, kb]) => `; ${life} ${Math.round(kb / 1024)} MB`).join("");
  }
}

const lives = /^(storage-child|check-child|replicator)$/;

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it has gone
  }
}

/** Asks for a small file again and again; answers the 99th percentile, ms. */
function visitor(machine: KernelProcess): () => Promise<string> {
  const tookMs: number[] = [];
  let going = true;
  const visits = (async () => {
    while (going) {
      const beganMs = performance.now();
      await (await machine.fetch("app-1", "/")).text();
      tookMs.push(performance.now() - beganMs);
      await Bun.sleep(5);
    }
  })();
  return async () => {
    going = false;
    await visits;
    const sorted = tookMs.sort((one, other) => one - other);
    const at = (share: number) => sorted[Math.floor(sorted.length * share)]?.toFixed(1);
    return `a visitor's p99 ${at(0.99)} ms, worst ${sorted.at(-1)?.toFixed(0)} ms of ${sorted.length}`;
  };
}

async function measured(machine: KernelProcess, name: string, args: string[]): Promise<void> {
  const children = new Children(machine.pid);
  const visits = visitor(machine);
  const beganMs = performance.now();
  const env = { PATH: process.env["PATH"] ?? "", HOME: "/tmp", FAZT_DATA: dataDir };
  const { code, stdout, stderr } = await run([...program, ...args], { env });
  const tookMs = Math.round(performance.now() - beganMs);
  const memory = await memoryOf(machine.pid);
  const lines = stdout.split("\n").length - 1;
  const all = `${lines} lines; kernel ${memory}${children.end()}; ${await visits()}`;
  process.stdout.write(`${name}: ${tookMs} ms, exit ${code}, ${all}\n`);
  if (code !== 0) process.stdout.write(`${stderr}\n`);
}

/** A command without a kernel: its time, and the most it and its children had. */
async function alone(name: string, args: string[]): Promise<void> {
  const beganMs = performance.now();
  const child = Bun.spawn([...program, ...args], { stdout: "ignore", stderr: "inherit" });
  const code = await child.exited;
  const peakMb = Math.round((child.resourceUsage()?.maxRSS ?? 0) / 1024 / 1024);
  const tookMs = Math.round(performance.now() - beganMs);
  process.stdout.write(`${name}: ${tookMs} ms, exit ${code}, peak resident ${peakMb} MB\n`);
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
await alone("verify", ["storage", "verify", backup]);
const restored = join(dataDir, "..", "scale-restored");
await alone("restore", ["storage", "restore", backup, "--data", restored]);
for (const path of [backup, restored]) rmSync(path, { recursive: true, force: true });
const replica = join(dataDir, "..", "scale-replica");
await measured(machine, "replica set", ["driver", "replica", "set", `file://${replica}`]);
await measured(machine, "replica flush", ["driver", "replica", "flush"]);
rmSync(replica, { recursive: true, force: true });
await measured(machine, "gc", ["storage", "gc"]);
