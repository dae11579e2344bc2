/**
 * A kernel that refuses to boot lets go of its data directory; one that has a change under way for
 * long does not hand over, and goes on; two that share a database hear of each other's logouts.
 */
import { expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clock } from "../tests/clock.ts";
import { testKernel, testRootPass } from "../tests/kernel.ts";
import { type Machine, realMachine, type Timer } from "./machine.ts";

test("what is refused after the database was opened leaves the directory free", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-test-"));
  const first = await testKernel({ dataDir });
  await first.close();
  const path = join(dataDir, "machine.key");
  const key = readFileSync(path);
  chmodSync(path, 0o600);
  writeFileSync(path, "no key");
  await expect(testKernel({ dataDir })).rejects.toThrow(/machine\.key/);
  writeFileSync(path, key);
  await using again = await testKernel({ dataDir });
  expect(again.kernel.security.owner()).not.toBeNull();
});

test("one that is refused late leaves nothing behind that comes due", async () => {
  const real = realMachine();
  const due = new Set<Timer>();
  const counted = (timer: Timer): Timer => {
    due.add(timer);
    const cancel = () => {
      due.delete(timer);
      timer.cancel();
    };
    return { cancel };
  };
  const machine: Machine = {
    ...real,
    every: (ms, run) => counted(real.every(ms, run)),
    after: (ms, run) => {
      const timer = real.after(ms, () => {
        due.delete(timer);
        run();
      });
      return counted(timer);
    },
  };
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-test-"));
  // What looks at it is made after everything else.
  const slots = () => ({
    get store(): never {
      throw new Error("no slots");
    },
    place: "base" as const,
    order: null,
  });
  await expect(testKernel({ dataDir, machine, slots })).rejects.toThrow("no slots");
  expect(due.size).toBe(0);
  await using again = await testKernel({ dataDir });
  expect(again.kernel.security.owner()).not.toBeNull();
});

test("a change that takes longer than a handing over may keeps it from happening", async () => {
  const { machine, pass } = clock();
  await using k = await testKernel({ machine });
  const body = new TransformStream<Uint8Array, Uint8Array>();
  const writer = body.writable.getWriter();
  const write = k.call("fs.write", { path: "/home/long" }, { body: body.readable });
  await writer.write(new Uint8Array(10));
  const yielded = k.yieldWork().then(
    () => null,
    (error: unknown) => error,
  );
  const change = () => k.call("fs.mkdir", { path: "/home/dir" });
  await expect(change()).rejects.toMatchObject({ code: "EAGAIN" });
  pass(20_001);
  expect(await yielded).toMatchObject({
    code: "EBUSY",
    message: expect.stringMatching("fs.write"),
  });
  // It goes on as if nobody had asked.
  await change();
  await writer.close();
  await write;
  expect(await k.call("fs.stat", { path: "/home/long" })).toMatchObject({ sizeBytes: 10 });
  await k.yieldWork();
  await expect(k.call("fs.rm", { path: "/home/dir" })).rejects.toMatchObject({ code: "EAGAIN" });
});

test("who logs out at one of two kernels is nobody at the other", async () => {
  await using before = await testKernel();
  const { dataDir } = before;
  const login = async (): Promise<string> => {
    const who = { user: "root", password: testRootPass };
    return (await before.kernel.security.login(who, null)).session;
  };
  const [first, second] = [await login(), await login()];
  await before.yieldWork();
  const after = await testKernel({ dataDir, beside: [process.pid] });
  try {
    const knows = ({ kernel }: typeof after, secret: string): boolean =>
      kernel.security.authenticate({ kind: "session", secret }, null) !== null;
    const seen = () => [first, second].map((one) => [knows(before, one), knows(after, one)]);
    expect(seen()).toEqual([
      [true, true],
      [true, true],
    ]);
    await before.kernel.security.logout(first);
    expect(seen()).toEqual([
      [false, false],
      [true, true],
    ]);
    await after.kernel.security.logout(second);
    expect(seen()).toEqual([
      [false, false],
      [false, false],
    ]);
  } finally {
    await after.close();
  }
});
