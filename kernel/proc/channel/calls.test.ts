/** Who may send the machine to look for releases, and where; and two who do it at once. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publish, releaseKey, testHost } from "../../../tests/appliance.ts";
import { testKernel } from "../../../tests/kernel.ts";
import { localOwner } from "../../caller.ts";
import { openSlots, publicKeyOf } from "../upgrade/mod.ts";

const slots = (dataDir: string) => ({
  store: openSlots(dataDir, { version: "0.0.0-test", sizeBytes: 1 }),
  place: "base" as const,
  keys: () => [publicKeyOf(releaseKey)],
  order: () => undefined,
});
const any = { minFrom: "0.0.0-0" };

test("while one upgrade looks for its release no other begins, of the other part neither", async () => {
  using host = testHost();
  const dir = mkdtempSync(join(tmpdir(), "fazt-calls-"));
  const whole = { binary: "program", root: "root", kernel: "kernel", initrd: "initrd" };
  const served = publish(join(dir, "whole"), whole, any);
  const from = publish(join(dir, "small"), { binary: "program" }, { version: "3.0.0", ...any });
  const [asked, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using web = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async ({ url }) => {
      asked.resolve();
      await go.promise;
      return new Response(Bun.file(join(served, new URL(url).pathname)));
    },
  });
  try {
    await using k = await testKernel({ system: host, slots });
    const first = k.call("proc.upgrade.start", { from: web.url.href });
    await asked.promise;
    await expect(k.call("proc.upgrade.start", { from })).rejects.toMatchObject({ code: "EBUSY" });
    await expect(k.call("proc.rollback")).rejects.toMatchObject({ code: "EBUSY" });
    go.resolve();
    expect(await first).toMatchObject({ part: "system", to: "2.0.0" });
    expect(k.kernel.upgrade.slots().history).toEqual([]);
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 60_000);

test("no other release is offered while a file of one is being sent", async () => {
  const dir = mkdtempSync(join(tmpdir(), "fazt-calls-"));
  const offerOf = (version: string) => {
    const at = publish(join(dir, version), { binary: `program ${version}` }, { version, ...any });
    const manifest = readFileSync(join(at, `stable-${process.arch}.json`), "utf8");
    const signature = readFileSync(join(at, `stable-${process.arch}.json.minisig`), "utf8");
    return { at, input: { manifest, signature } };
  };
  try {
    await using k = await testKernel({ slots });
    const [one, two] = [offerOf("2.0.0"), offerOf("3.0.0")];
    const offered = await k.call<{ files: { name: string }[] }>("proc.upgrade.offer", one.input);
    const name = offered.files[0]?.name ?? "";
    const [taken, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const bytes = readFileSync(join(one.at, name));
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(out) {
          taken.resolve();
          await go.promise;
          out.enqueue(bytes);
          out.close();
        },
      },
      { highWaterMark: 0 },
    );
    const sent = k.call("proc.upgrade.put", { name }, { body });
    await taken.promise;
    const other = k.call("proc.upgrade.offer", two.input);
    await expect(other).rejects.toMatchObject({ code: "EBUSY" });
    go.resolve();
    expect(await sent).toEqual({ done: true });
    await k.call("proc.upgrade.offer", two.input);
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 60_000);

test("who may only read says nothing of where is looked: files and ports of the machine are not theirs", async () => {
  await using k = await testKernel();
  const reader = { ...localOwner("socket"), via: "token", grants: ["proc:read"] } as const;
  for (const from of ["/etc", "https://127.0.0.1:1/", "upload"]) {
    const asked = k.call("proc.upgrade.check", { from }, { from: reader });
    await expect(asked).rejects.toMatchObject({ code: "EACCES" });
  }
  // Where the owner said: nowhere yet.
  const usual = k.call("proc.upgrade.check", {}, { from: reader });
  await expect(usual).rejects.toMatchObject({ code: "ENOENT" });
  const owners = k.call("proc.upgrade.check", { from: "/nowhere/at/all" });
  await expect(owners).rejects.toMatchObject({ code: "ENOENT" });
}, 60_000);
