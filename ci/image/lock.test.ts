/** One at a time: within a process, between processes, and after one that died with the lock. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { locked } from "./lock.ts";

async function inFolder(work: (path: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "fazt-lock-"));
  try {
    await work(join(dir, "lock"));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test("two do not work at the same time", () =>
  inFolder(async (path) => {
    const order: string[] = [];
    const begun = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    const first = locked(path, { patienceMs: 30_000 }, async () => {
      order.push("first begins");
      begun.resolve();
      await end.promise;
      order.push("first ends");
    });
    await begun.promise;
    const second = locked(path, { patienceMs: 30_000 }, async () => void order.push("second"));
    end.resolve();
    await Promise.all([first, second]);
    expect(order).toEqual(["first begins", "first ends", "second"]);
    expect(existsSync(path)).toBe(false);
  }));

test("the lock of a process that is no more is taken", () =>
  inFolder(async (path) => {
    const child = Bun.spawn(["true"]);
    await child.exited;
    writeFileSync(path, String(child.pid));
    expect(await locked(path, { patienceMs: 30_000 }, async () => "done")).toBe("done");
  }));

test("one that another keeps is told of, with the process; work that fails lets go", () =>
  inFolder(async (path) => {
    writeFileSync(path, String(process.pid));
    const work = async () => "done";
    await expect(locked(path, { patienceMs: 0 }, work)).rejects.toThrow(`process ${process.pid}`);
    rmSync(path);
    const fails = () => Promise.reject(new Error("broken"));
    await expect(locked(path, { patienceMs: 0 }, fails)).rejects.toThrow("broken");
    expect(existsSync(path)).toBe(false);
  }));
