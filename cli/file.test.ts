/** Files of this computer: whole or as they were, for whom they are, and what is no file. */
import { expect, test } from "bun:test";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownerOnly, writeWhole } from "./file.ts";

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield new TextEncoder().encode(text);
}

async function inDir(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "fazt-file-"));
  await work(dir).finally(() => rmSync(dir, { recursive: true }));
}

test("a file is there whole, or as it was", () =>
  inDir(async (dir) => {
    const path = join(dir, "a");
    writeFileSync(path, "before");
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield* chunks("half");
      throw new Error("the line broke");
    }
    await expect(writeWhole(path, broken())).rejects.toThrow("the line broke");
    expect(readFileSync(path, "utf8")).toBe("before");
    expect(await writeWhole(path, chunks("af", "ter"))).toBe(5);
    expect(readFileSync(path, "utf8")).toBe("after");
    expect(readdirSync(dir)).toEqual(["a"]);
  }));

test("what holds a machine's data is its owner's alone", () =>
  inDir(async (dir) => {
    const path = join(dir, "machine.bak");
    await writeWhole(path, chunks("x"), ownerOnly);
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
  }));

test("a pipe is written to and stays a pipe", () =>
  inDir(async (dir) => {
    const path = join(dir, "pipe");
    expect(Bun.spawnSync(["mkfifo", path]).success).toBe(true);
    const reader = Bun.spawn(["cat", path], { stdout: "pipe" });
    expect(await writeWhole(path, chunks("through"))).toBe(7);
    expect(await reader.stdout.text()).toBe("through");
    expect(lstatSync(path).isFIFO()).toBe(true);
  }));
