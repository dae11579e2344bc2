/**
 * First boot on a whole kernel: documents from a NoCloud volume and a simulated cloud, applied once;
 * wrong ones leave the machine closed; nothing of a secret is ever told.
 */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  clouds,
  folderOf,
  nocloudFiles,
  simulate,
  siteWithVolume,
} from "../../init/seed/fixture.ts";
import { type SeedOutcome, seed } from "../../init/seed/seed.ts";
import { anonymous } from "../../kernel/caller.ts";
import type { SeedNote } from "../../kernel/security/mod.ts";
import { hashPassword } from "../../kernel/security/mod.ts";
import { deployed } from "../deployed.ts";
import { type TestKernel, testKernel } from "../kernel.ts";
import { testNetwork } from "../network.ts";

const rootPass = "gravel otter lamp seven";
const hash = await hashPassword(rootPass);
const claim = `claim:
  passwordHash: ${hash}
  domain: example.com
  email: me@example.com
`;

/** First boot with this text as user-data, as far as it goes. */
async function boot(k: TestKernel, userData: string | null): Promise<SeedOutcome> {
  using folder = folderOf(nocloudFiles(userData));
  return await seed({
    booted: k,
    dataDir: k.dataDir,
    site: siteWithVolume("CIDATA", folder.path),
  });
}

async function logOf(k: TestKernel): Promise<string> {
  const lines = await Array.fromAsync(
    await k.call<AsyncIterable<{ text: string }>>("proc.logs", { app: "kernel", limit: 1000 }),
  );
  return lines.map(({ text }) => text).join("\n");
}

const noteOf = (k: TestKernel) => k.call<SeedNote | null>("security.seed");
const login = (k: TestKernel) =>
  k.call("security.login", { password: rootPass }, { from: anonymous("192.0.2.9") });

describe("a document with a claim", () => {
  const text = `#fazt\nhostname: atlas\n${claim}network:\n  links:\n    - {name: "*", mtu: 1400}\n`;

  test("makes the machine its owner's, with its network, once", async () => {
    using network = testNetwork();
    await using k = await testKernel({ claimed: false, network: network.host });
    expect(await boot(k, text)).toEqual({ kind: "done", source: "NoCloud volume CIDATA" });
    expect(k.kernel.security.owner()).toMatchObject({ domain: "example.com" });
    await login(k);
    expect(network.read("run/systemd/network/78-fazt.network")).toContain("MTUBytes=1400");
    expect(network.hostname()).toBe("atlas");
    expect(await noteOf(k)).toMatchObject({
      done: true,
      steps: ["network", "claim"],
      problem: null,
    });
    // Again, and with other words: it is the owner's machine now.
    const other = text.replaceAll("example.com", "other.example").replace("atlas", "zeus");
    expect(await boot(k, other)).toEqual({ kind: "done", source: null });
    const again = await k.reboot();
    expect(await boot(again, other)).toEqual({ kind: "done", source: null });
    expect(again.kernel.security.owner()).toMatchObject({ domain: "example.com" });
    expect(again.kernel.iface.network().hostname).toBe("atlas");
    await again.close();
  });

  test("is audited and logged without its hash", async () => {
    await using k = await testKernel({ claimed: false });
    await boot(k, text);
    const audit = await k.call<object[]>("security.audit", { call: "security.claim" });
    expect(audit).toMatchObject([{ outcome: "ok", via: "boot" }]);
    const log = await logOf(k);
    expect(log).toContain("first boot: claimed as example.com");
    expect(log + JSON.stringify(audit)).not.toContain("$argon2id");
  });

  test("comes from a cloud with that cloud's network", async () => {
    using network = testNetwork();
    await using k = await testKernel({ claimed: false, network: network.host });
    using cloud = simulate(clouds["Hetzner"] as never, { userData: `#fazt\n${claim}` });
    await seed({ booted: k, dataDir: k.dataDir, site: cloud.site });
    expect(k.kernel.security.owner()).not.toBeNull();
    const file = network.read("run/systemd/network/71-fazt-9600000819da.network");
    expect(file).toContain("Address=2001:db8:beef::1/64");
    expect(file).toContain("Gateway=fe80::1\nGatewayOnLink=yes");
    expect(network.hostname()).toBe("my-server");
  });
});

test.each([
  ["a line that is wrong", `#fazt\n${claim}  more: 1\n`, 'line 6: "claim.more" is not a key'],
  [
    "a hash that is none",
    "#fazt\nclaim: {passwordHash: hunter2, domain: a.b, email: a@b.c}\n",
    "line 2:",
  ],
  ["no YAML", "#fazt\nclaim: [hunter2\n", "line 2:"],
])(
  "%s leaves the machine closed, says so, and is tried again when it is mended",
  async (_, text, said) => {
    await using k = await testKernel({ claimed: false });
    expect(await boot(k, text)).toMatchObject({ kind: "failed" });
    expect(k.kernel.security.owner()).toBeNull();
    expect(k.kernel.security.setupCode()).not.toBeNull();
    expect((await noteOf(k))?.problem).toContain(said);
    const log = await logOf(k);
    expect(log).toContain(said);
    expect(log).toContain("the machine stays unclaimed");
    expect(log).not.toContain("hunter2");
    expect(await boot(k, `#fazt\n${claim}`)).toMatchObject({ kind: "done" });
    expect(k.kernel.security.owner()).not.toBeNull();
    expect((await noteOf(k))?.problem).toBeNull();
  },
);

test("words for cloud-init are passed over politely", async () => {
  await using k = await testKernel({ claimed: false });
  expect(await boot(k, "#cloud-config\npackages: [nginx]\n")).toMatchObject({ kind: "done" });
  expect(await logOf(k)).toContain("user-data is passed over: it is for cloud-init");
  expect(await noteOf(k)).toMatchObject({ problem: null, done: false });
});

test("a machine nobody left words for, and one with a person as owner, are left alone", async () => {
  await using free = await testKernel({ claimed: false });
  const nobody = {
    hasVolume: () => false,
    dmi: { sysVendor: "", productName: "", biosVendor: "", chassisTag: "" },
    credentialsDir: "/nonexistent",
  };
  expect(await seed({ booted: free, dataDir: free.dataDir, site: nobody })).toEqual({
    kind: "done",
    source: null,
  });
  await using owned = await testKernel();
  expect(await boot(owned, `#fazt\n${claim}`)).toEqual({ kind: "done", source: null });
  expect(owned.kernel.security.owner()).toMatchObject({ domain: "localhost" });
});

test("a cloud that does not answer leaves the machine closed, until the next boot", async () => {
  await using k = await testKernel({ claimed: false });
  using cloud = simulate(clouds["Vultr"] as never, { userData: `#fazt\n${claim}` });
  const away = { ...cloud.site, metadataUrl: "http://127.0.0.1:9", patienceMs: 50 };
  expect(await seed({ booted: k, dataDir: k.dataDir, site: away })).toMatchObject({
    kind: "failed",
  });
  expect(k.kernel.security.setupCode()).not.toBeNull();
  expect(await seed({ booted: k, dataDir: k.dataDir, site: cloud.site })).toMatchObject({
    kind: "done",
    source: "Vultr",
  });
  expect(k.kernel.security.owner()).not.toBeNull();
});

test("a setup code by its hash opens the wizard for whoever has the code", async () => {
  await using k = await testKernel({ claimed: false });
  const code = "wharf lantern nine otter";
  await boot(k, `#fazt\nsetupCodeHash: ${await hashPassword(code)}\n`);
  expect(k.kernel.security.owner()).toBeNull();
  const wanted = { code, rootPass, domain: "example.com", email: "me@example.com" };
  await k.call("security.claim", wanted, { from: anonymous("192.0.2.9") });
  expect(k.kernel.security.owner()).not.toBeNull();
});

describe("apps", () => {
  async function cartridge(): Promise<Uint8Array<ArrayBuffer>> {
    await using old = await testKernel();
    await deployed(old, "blog", { files: { "public/index.html": "<p>kept" } });
    const { stream } = await old.call<{ stream: ReadableStream<Uint8Array> }>("app.export", {
      app: "blog",
    });
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  test("are restored from cartridges; what could not be fetched comes at the next boot", async () => {
    const bytes = await cartridge();
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    let there = false;
    using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url }) => {
        if (url.endsWith("/latest")) return Response.redirect("/blog.cart");
        return there ? new Response(bytes) : new Response("gone", { status: 410 });
      },
    });
    const text = `#fazt\n${claim}apps:\n  - {url: "${server.url}latest", sha256: ${sha256}}\n`;
    await using k = await testKernel({ claimed: false });
    expect(await boot(k, text)).toMatchObject({ kind: "failed" });
    // What came before stands.
    expect(k.kernel.security.owner()).not.toBeNull();
    expect(await noteOf(k)).toMatchObject({ steps: ["network", "claim"], done: false });
    there = true;
    expect(await boot(k, text)).toMatchObject({ kind: "done" });
    expect((await k.call<{ name: string }[]>("app.ls")).map(({ name }) => name)).toEqual(["blog"]);
  });

  test("that are not what was promised are refused", async () => {
    using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("evil") });
    const text = `#fazt\n${claim}apps: [{url: "${server.url}x", sha256: ${"a".repeat(64)}}]\n`;
    await using k = await testKernel({ claimed: false });
    expect(await boot(k, text)).toMatchObject({ problem: expect.stringContaining("SHA-256") });
    expect(await k.call<object[]>("app.ls")).toEqual([]);
  });
});

describe("a replica", () => {
  test("is followed from now on, and its secret is told nowhere", async () => {
    const secret = "s3cr3t-hunter2";
    const place = "url: s3://bucket/p, endpoint: http://127.0.0.1:9, keyId: AK, secret: ";
    await using k = await testKernel({ claimed: false });
    expect(await boot(k, `#fazt\n${claim}replica: {${place}${secret}}\n`)).toMatchObject({
      kind: "failed",
    });
    const audit = await k.call<object[]>("security.audit", {});
    const told = (await logOf(k)) + JSON.stringify([audit, await noteOf(k)]);
    expect(told).toContain("driver.replica.set");
    expect(told).not.toContain(secret);
  });

  test("brings back an old machine, in the place of the new one", async () => {
    const store = mkdtempSync(join(tmpdir(), "fazt-replica-"));
    try {
      await using old = await testKernel();
      await deployed(old, "blog", { files: { "public/index.html": "<p>kept" } });
      await old.call("driver.replica.set", { url: `file://${store}` });
      await old.call("storage.kv.set", { app: "blog", key: "a", value: 1 });
      await old.close();
      using network = testNetwork();
      await using fresh = await testKernel({ claimed: false, network: network.host });
      const text = `#fazt\nhostname: phoenix\nrestore: {url: "file://${store}"}\n`;
      const outcome = await boot(fresh, text);
      if (outcome.kind !== "restore") throw new Error(JSON.stringify(outcome));
      await fresh.close();
      await outcome.order.restore();
      const restored = await testKernel({
        claimed: false,
        dataDir: fresh.dataDir,
        network: network.host,
      });
      await outcome.order.settle(restored);
      expect(restored.kernel.security.owner()).toMatchObject({ domain: "localhost" });
      expect(await restored.call("storage.kv.get", { app: "blog", key: "a" })).toMatchObject({
        value: 1,
      });
      expect(network.hostname()).toBe("phoenix");
      // Restored once: the next boot leaves it alone.
      expect(await boot(restored, text)).toEqual({ kind: "done", source: null });
      await restored.close();
    } finally {
      rmSync(store, { recursive: true, force: true });
    }
  });
});
