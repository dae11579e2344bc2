/**
 * Renewal information (RFC 9773): an authority that wants a certificate back early, its directory
 * before Pebble's, which knows of none. Hours pass in no time.
 */
import { expect, test } from "bun:test";
import { Manifest } from "../../kernel/app/mod.ts";
import { localOwner } from "../../kernel/caller.ts";
import type { CertInfo } from "../../kernel/net/mod.ts";
import { startAcmeProxy } from "../acme-proxy.ts";
import { zone } from "../acme-stage.ts";
import { clock } from "../clock.ts";
import { type TestKernel, testKernel } from "../kernel.ts";
import { startNameServer } from "../name-server.ts";
import { freePort, startPebble } from "../pebble.ts";
import { until } from "../process.ts";

const hourMs = 3_600_000;
const host = `early.${zone}`;

/** An app of one file, which has the host. */
async function deploy({ kernel, call }: TestKernel): Promise<void> {
  const { hash, sizeBytes } = await kernel.fs.blobs.put({ hash: null }, new Blob(["hi"]).stream());
  const files = [{ path: "public/index.html", hash, sizeBytes, mode: 0o644 }];
  const plan = { name: "blog", manifest: Manifest.parse({}), files, message: "" };
  const { release } = await kernel.app.stage(localOwner("boot"), plan);
  await kernel.app.switchTo(release);
  await call("net.route.add", { host, app: "blog" });
}

test("a certificate the authority wants back is renewed at once, and the order says which", async () => {
  const time = clock();
  const httpPort = await freePort();
  await using names = await startNameServer([zone]);
  await using pebble = await startPebble({ httpPort, dns: names.address });
  const asked: string[] = [];
  const replaced: (string | undefined)[] = [];
  let wanted = {
    start: time.machine.now() + 100_000 * hourMs,
    end: time.machine.now() + 100_001 * hourMs,
  };
  await using proxy = startAcmeProxy(pebble, async () => false, {
    info: (certId) => {
      asked.push(certId);
      const text = (at: number) => new Date(at).toISOString();
      return { suggestedWindow: { start: text(wanted.start), end: text(wanted.end) } };
    },
    ordered: ({ replaces }) => replaced.push(replaces),
  });
  await using at = await testKernel({ machine: time.machine });
  const os = () => new Response("os");
  at.kernel.net.listen(`127.0.0.1:${httpPort}`, os);
  await at.kernel.net.listenSecure("127.0.0.1:0", os);
  const { directory, roots } = proxy;
  await at.call("net.acme.set", { directory, roots, resolver: names.address });
  await deploy(at);
  const cert = () => at.call<CertInfo>("net.cert.show", { name: host });
  const issued = (other: string | null) =>
    until("a certificate", async () => {
      // The route is looked at within a second.
      const now = await cert().catch(() => null);
      if (now === null) return null;
      return now.fingerprint !== null && now.fingerprint !== other ? now : null;
    });
  const first = await issued(null);
  const dueAt = first.nextAt ?? 0;

  // A window that is long after our own time changes nothing.
  time.pass(hourMs / 4);
  await until("the authority is asked", () => asked.length > 0);
  expect((await cert()).nextAt).toBe(dueAt);

  const now = time.machine.now();
  wanted = { start: now - 2 * hourMs, end: now - hourMs };
  time.pass(7 * hourMs);
  const second = await issued(first.fingerprint);
  expect(second.problem).toBeNull();
  expect(replaced).toEqual([undefined, asked[0]]);
  // The identifier is the authority's key and the serial, as OpenSSL reads them (RFC 9773, 4.1).
  const [certId = ""] = asked;
  const [key = "", serial = ""] = certId
    .split(".")
    .map((part) => Buffer.from(part, "base64url").toHex());
  expect(key.length).toBeGreaterThan(0);
  const log = pebble.log();
  expect(log).toContain(`Issued certificate serial ${serial.replace(/^00(?=[89a-f])/, "")}`);
}, 90_000);
