/** Two ask an unclaimed machine to become an old one: it becomes one of them, once. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testKernel } from "../kernel.ts";

test("who was shown a plan while another's restore came to an end is refused", async () => {
  const replica = mkdtempSync(join(tmpdir(), "fazt-adopt-"));
  try {
    await using old = await testKernel();
    const url = `file://${replica}`;
    await old.call("driver.replica.set", { url });
    await old.call("driver.replica.flush");
    await using k = await testKernel({ claimed: false });
    const code = k.kernel.security.setupCode();
    const ask = () =>
      k.call<AsyncGenerator<{ step: string }>>("driver.replica.restoreMachine", { code, url });
    const [first, second] = [await ask(), await ask()];
    const steps = (await Array.fromAsync(first)).map(({ step }) => step);
    expect(steps.at(-1)).toBe("restored");
    await expect(second.next()).rejects.toMatchObject({ code: "EBUSY" });
  } finally {
    rmSync(replica, { recursive: true, force: true });
  }
}, 60_000);
