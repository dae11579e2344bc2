/**
 * Files of 4 KB read once each from the tree, by a kernel that has just opened its database and has
 * nothing of it in memory, against `readFile` of the same bytes on the same disk.
 */
import { mkdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launcher } from "../../init/launcher.ts";
import { boot } from "../../kernel/boot.ts";
import { localOwner } from "../../kernel/caller.ts";
import { type Bench, takeTurns } from "./bench.ts";
import { claimedDirectory } from "./kernel.ts";
import { type Row, ratioRow } from "./row.ts";

const files = 4000;
const fileBytes = 4096;
const rounds = 7;
const writers = 64;

const caller = localOwner("socket");

const start = (dataDir: string) => boot({ dataDir, version: "bench", launcher: launcher() });

async function fill(dataDir: string, plain: string): Promise<void> {
  const booted = await start(dataDir);
  try {
    let next = 0;
    const write = async () => {
      while (next < files) {
        const name = `f${next++}`;
        const bytes = crypto.getRandomValues(new Uint8Array(fileBytes));
        await writeFile(join(plain, name), bytes);
        await booted.kernel.fs.write(caller, `/home/${name}`, new Blob([bytes]).stream());
      }
    };
    await Promise.all(Array.from({ length: writers }, write));
  } finally {
    await booted.close();
  }
}

/** Every file once, in an order that is not the one they were written in. */
function* names(): Generator<string> {
  for (let i = 0; i < files; i++) yield `f${(i * 1999) % files}`;
}

async function fromTree(dataDir: string): Promise<number> {
  const booted = await start(dataDir);
  try {
    const startedMs = performance.now();
    for (const name of names()) {
      const read = await booted.kernel.fs.read(caller, `/home/${name}`, {
        offset: 0,
        length: null,
      });
      const bytes = read.whole ?? (await new Response(read.stream).bytes());
      if (bytes.length !== fileBytes) throw new Error(`${name}: ${bytes.length} bytes`);
    }
    return (files * 1000) / (performance.now() - startedMs);
  } finally {
    await booted.close();
  }
}

async function fromDisk(plain: string): Promise<number> {
  const startedMs = performance.now();
  for (const name of names()) {
    const bytes = await readFile(join(plain, name));
    if (bytes.length !== fileBytes) throw new Error(`${name}: ${bytes.length} bytes`);
  }
  return (files * 1000) / (performance.now() - startedMs);
}

export async function measureVfs(bench: Bench): Promise<Row[]> {
  const dataDir = await claimedDirectory(bench);
  const plain = bench.directory("plain");
  mkdirSync(plain, { recursive: true });
  await fill(dataDir, plain);
  const { tree, disk } = await takeTurns(rounds, {
    tree: () => fromTree(dataDir),
    disk: () => fromDisk(plain),
  });
  const what = "4 KB files from a cold tree, against readFile";
  return [
    ratioRow({ id: "vfs-4k", what, unit: "files/s", goal: { atLeast: 1 } }, tree, {
      name: "readFile",
      samples: disk,
    }),
  ];
}
