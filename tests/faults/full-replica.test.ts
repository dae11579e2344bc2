/**
 * A disk that is full at every point of a shipment, a snapshot and a backup that are made to this
 * very disk: what is refused says so and what to do, nothing acknowledged is lost, and room alone
 * makes it go on.
 */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { restoreMachine } from "../../kernel/driver/mod.ts";
import type { SysError } from "../../kernel/errno.ts";
import { deployed } from "../deployed.ts";
import { mayMount, smallDisk } from "../disk.ts";
import { testKernel } from "../kernel.ts";
import { startProcess, until } from "../process.ts";

/** The mark and the ballast are out of the way: it is the file system that refuses. */
const storageLimits = { diskUsedMax: 2, ballastBytes: 0 };
/** Every shipment ends its log, so that every step takes a snapshot. */
const replicaLimits = { sealBytes: 50_000, backoffMsMin: 10, backoffMsMax: 50, shipEveryMs: 50 };

/** Every step is some way from the last; the first ones are closest. */
const roomsKb = [0, 4, 12, 40, 100, 220, 300, 450, 700, 1_000, 1_500, 2_500, 4_000, 8_000];

test.skipIf(!mayMount)(
  "a replica on the same disk",
  async () => {
    using disk = smallDisk(192);
    const k = await testKernel({ dataDir: join(disk.path, "data"), storageLimits, replicaLimits });
    await deployed(k, "blog", { files: { "index.html": "page" } });
    const url = `file://${join(disk.path, "replica")}`;
    await k.call("driver.replica.set", { url });
    await k.call("driver.replica.flush");
    const kept: string[] = [];
    const refused: { code: string; message: string; hint: string | null }[] = [];
    for (const [step, roomKb] of roomsKb.entries()) {
      disk.fill(roomKb);
      for (const key of [`${step}/a`, `${step}/b`]) {
        const pair = { app: "blog", key, value: key.repeat(20_000) };
        const code = await k.call("storage.kv.set", pair).then(
          () => "OK",
          (error: SysError) => error.code,
        );
        expect([roomKb, code]).toEqual([roomKb, expect.stringMatching(/^(ENOSPC|OK)$/)]);
        if (code === "OK") kept.push(key);
      }
      await k.call("driver.replica.snapshot").catch((error: SysError) => {
        refused.push({ code: error.code, message: error.message, hint: error.hint });
      });
      disk.empty();
      const shipped = () =>
        k.call("driver.replica.snapshot").then(
          () => true,
          () => false,
        );
      await until("room alone makes it go on", shipped);
    }
    expect(refused.length).toBeGreaterThan(2);
    for (const each of refused) {
      // ENOSPC by itself: what was done is not written down without room for that.
      expect(each).toEqual({
        code: expect.stringMatching(/^(EIO|ENOSPC)$/),
        message: expect.stringContaining("full"),
        hint: expect.stringMatching(/make room|add disk|free space/),
      });
    }
    await k.call("driver.replica.flush");
    await k.close();
    const dataDir = join(disk.path, "restored");
    const target = { kind: "file", path: join(disk.path, "replica") } as const;
    await restoreMachine({ target, dataDir, at: null, dryRun: false, force: false, key: null });
    await using again = await testKernel({ dataDir, storageLimits });
    for (const key of kept) {
      const { value } = await again.call<{ value: unknown }>("storage.kv.get", {
        app: "blog",
        key,
      });
      expect([key, value]).toEqual([key, key.repeat(20_000)]);
    }
    expect(await again.call<object>("storage.check")).toMatchObject({ ok: true });
  },
  240_000,
);

test.skipIf(!mayMount)(
  "a backup to the same disk",
  async () => {
    using disk = smallDisk(96);
    await using machine = await startProcess({ dataDir: join(disk.path, "data") });
    const file = join(machine.scratch("files"), "random");
    await Bun.write(file, crypto.getRandomValues(new Uint8Array(60_000)));
    for (let n = 0; n < 20; n++) await machine.faztJson("fs", "cp", file, `vfs:/home/${n}`);
    const to = join(disk.path, "fazt.bak");
    let refused = 0;
    for (const roomKb of [0, 8, 60, 300, 900]) {
      disk.fill(roomKb);
      const { code, stderr } = await machine.fazt("storage", "backup", to);
      expect([roomKb, code]).not.toEqual([roomKb, 0]);
      expect(stderr).toContain("ENOSPC");
      expect(stderr.trim().split("\n").length).toBeGreaterThan(1);
      // Half a backup is none: nothing lies there under its name.
      expect(existsSync(to)).toBe(false);
      refused++;
      disk.empty();
      // Room alone makes it go on, as soon as the kernel has looked at the disk again.
      const copy = () => machine.fazt("fs", "cp", file, `vfs:/home/after-${roomKb}`);
      await until("writes go through", async () => (await copy()).code === 0, 50_000);
    }
    expect(refused).toBe(5);
    expect((await machine.fazt("storage", "backup", to)).code).toBe(0);
    const { code, stderr } = await machine.fazt("storage", "verify", to);
    expect([code, stderr]).toEqual([0, ""]);
  },
  120_000,
);
