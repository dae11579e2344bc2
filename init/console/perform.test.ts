/** A machine restored from its replica at the console: the kernel is stopped for it and started. */
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "../../cli/client.ts";
import { table } from "../../cli/table.ts";
import { controlSocketPath } from "../../kernel/data-dir.ts";
import { testKernel, testRootPass } from "../../tests/kernel.ts";
import { program } from "../../tests/process.ts";
import { type Host, thisHost } from "./host.ts";
import { type Desk, perform } from "./perform.ts";

function deskOf(dataDir: string, host: Host): Desk {
  const target = { kind: "local", dataDir, socket: controlSocketPath(dataDir) } as const;
  return { client: createClient(target, table), host, dataDir, program };
}

test("restores what the replica holds, with its key, between a stop and a start", async () => {
  const at = mkdtempSync(join(tmpdir(), "fazt-restore-"));
  const key = await replicated(join(at, "replica"));
  const told: string[] = [];
  const host: Host = {
    appliance: true,
    recovery: false,
    systemctl: async (...words) => void told.push(words[0] ?? ""),
  };
  const dataDir = join(at, "data");
  const values = { from: `file://${join(at, "replica")}`, machineKey: key };
  const words = await perform(deskOf(dataDir, host), "restore", values);
  expect(words).toContain("restored data.db");
  expect(told).toEqual(["stop", "start"]);
  const restored = await testKernel({ dataDir });
  await restored.kernel.security.login({ password: testRootPass }, null);
  await restored.close();
  const bad = perform(deskOf(dataDir, host), "restore", {
    from: "file:///nowhere",
    machineKey: "",
  });
  await expect(bad).rejects.toThrow("no snapshot in the replica");
  expect(told).toEqual(["stop", "start", "stop", "start"]);
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith("secret."))).toEqual([]);
  rmSync(at, { recursive: true });
}, 30_000);

test("a key that is none is refused before anything is stopped; other machines are left alone", async () => {
  const desk = deskOf("/nonexistent", thisHost("/dev/null"));
  const bad = perform(desk, "restore", { from: "file:///x", machineKey: "AAAA" });
  await expect(bad).rejects.toThrow("not 32 bytes");
  await expect(perform(desk, "restore", { from: "file:///x" })).rejects.toMatchObject({
    code: "ENOSYS",
  });
});

/** A machine's replica in a directory; answers its key in base64. */
async function replicated(directory: string): Promise<string> {
  await using k = await testKernel();
  await k.call("driver.replica.set", { url: `file://${directory}` });
  await k.call("driver.replica.flush");
  const bytes = await Bun.file(join(k.dataDir, "machine.key")).bytes();
  return bytes.toBase64();
}
