/**
 * Certificates end to end: a kernel in its own process, Pebble as the authority, a name server of
 * the test's, and clients that are not ours.
 */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { connect } from "node:tls";
import type { CertInfo } from "../../kernel/net/mod.ts";
import { type NameServer, startNameServer } from "../name-server.ts";
import { freePort, type Pebble, type PebbleOptions, startPebble } from "../pebble.ts";
import { type KernelProcess, startProcess, until } from "../process.ts";

const zone = "fazt-zone.net";

/** A kernel with an app, a name server, and Pebble that sees both. */
class Stage implements AsyncDisposable {
  readonly machine: KernelProcess;
  readonly names: NameServer;
  readonly pebble: Pebble;

  constructor(machine: KernelProcess, names: NameServer, pebble: Pebble) {
    this.machine = machine;
    this.names = names;
    this.pebble = pebble;
  }

  static async open(options: Partial<PebbleOptions> = {}): Promise<Stage> {
    const names = await startNameServer([zone]);
    const httpPort = await freePort();
    const args = ["--http", `127.0.0.1:${httpPort}`, "--https", "127.0.0.1:0"];
    const machine = await startProcess({ args });
    const pebble = await startPebble({ httpPort, dns: names.address, ...options });
    const site = machine.scratch("site");
    writeFileSync(`${site}/index.html`, "<p>hello");
    await machine.faztJson("app", "deploy", site, "--name", "blog");
    return new Stage(machine, names, pebble);
  }

  /** Makes Pebble the authority. */
  async use(more: Record<string, unknown> = {}): Promise<void> {
    const { directory, roots } = this.pebble;
    const resolver = this.names.address;
    await this.machine.call("net.acme.set", { directory, roots, resolver, ...more });
  }

  route(host: string): Promise<unknown> {
    return this.machine.call("net.route.add", { host, app: "blog" });
  }

  cert(name: string): Promise<CertInfo> {
    return this.machine.call<CertInfo>("net.cert.show", { name });
  }

  async issued(name: string, mostMs = 40_000): Promise<CertInfo> {
    return await until(
      `a certificate for ${name}`,
      async () => {
        const cert = await this.cert(name);
        return cert.state === "good" && cert.fingerprint !== null ? cert : null;
      },
      mostMs,
    );
  }

  get httpsPort(): number {
    return Number(new URL(this.machine.ready.https ?? "").port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
    await this.pebble[Symbol.asyncDispose]();
    await this.names[Symbol.asyncDispose]();
  }
}

/** What the listener shows for a name. */
function shown(port: number, servername: string): Promise<{ print: string; names: string }> {
  const done = Promise.withResolvers<{ print: string; names: string }>();
  const to = { host: "127.0.0.1", port, rejectUnauthorized: false, servername };
  const socket = connect(to, () => {
    const { fingerprint256: print, subjectaltname: names = "" } = socket.getPeerCertificate();
    done.resolve({ print, names });
    socket.destroy();
  });
  socket.on("error", done.reject);
  return done.promise;
}

describe("HTTP-01", () => {
  test("a routed host gets its certificate by itself, nonces refused or not", async () => {
    await using stage = await Stage.open({ nonceReject: 25 });
    await stage.use();
    const host = `a.${zone}`;
    await stage.route(host);
    const cert = await stage.issued(host);
    expect(cert).toMatchObject({ issuer: "acme", names: [host], problem: null, step: "waiting" });
    expect(cert.issuedBy).toContain("Pebble");
    await until("the listener shows it", async () => {
      const { print } = await shown(stage.httpsPort, host);
      return print === cert.fingerprint;
    });
    // At two thirds of its life, a little earlier by chance.
    const [from, to, next] = [cert.issuedAt ?? 0, cert.expiresAt ?? 0, cert.nextAt ?? 0];
    const part = (next - from) / (to - from);
    expect(part).toBeGreaterThan(0.64);
    expect(part).toBeLessThan(0.67);
    // HTTP leads there, and what has no route has no certificate.
    const plain = await stage.machine.curl(
      "-o",
      "/dev/null",
      "-w",
      "%{redirect_url}",
      `http://${host}/`,
    );
    expect(plain.stdout).toBe(`https://${host}/`);
    const all = await stage.machine.call<CertInfo[]>("net.cert.ls");
    expect(all.map(({ name }) => name).sort()).toEqual([host, "self-signed"].sort());
    // It is there after a restart, and nobody is asked for it again.
    const orders = () => stage.pebble.log().match(/Added order/g)?.length;
    const before = orders();
    expect(before).toBe(1);
    await stage.machine.restart();
    expect((await stage.cert(host)).fingerprint).toBe(cert.fingerprint);
    expect((await shown(stage.httpsPort, host)).print).toBe(cert.fingerprint ?? "");
    expect(orders()).toBe(before);
  }, 60_000);

  test("a host that cannot be proved says why, and renew tries again at once", async () => {
    await using stage = await Stage.open();
    await stage.use();
    const host = `b.${zone}`;
    stage.names.addresses.set(host, "127.0.0.9");
    await stage.route(host);
    const failing = await until("a reason", async () => {
      const cert = await stage.cert(host);
      return cert.problem === null ? null : cert;
    });
    expect(failing).toMatchObject({ state: "failing", fingerprint: null, step: "waiting" });
    expect(failing.problem?.text).toContain(host);
    expect(failing.problem?.text).toContain("connection");
    expect((failing.nextAt ?? 0) - (failing.problem?.at ?? 0)).toBeGreaterThan(40_000);
    const told = await stage.machine.fazt("net", "cert", "show", host);
    expect(told.stdout).toContain("failing");
    stage.names.addresses.delete(host);
    await stage.machine.call("net.cert.renew", { name: host });
    expect((await stage.issued(host)).problem).toBeNull();
  }, 60_000);
});

describe("DNS-01", () => {
  test("one wildcard for a route below a name, proved by signed updates that go again", async () => {
    await using stage = await Stage.open();
    const { address, keyName, secret } = stage.names;
    const provider = { provider: "rfc2136", providerServer: address, providerKeyName: keyName };
    await stage.use({ ...provider, providerSecret: secret });
    await stage.route(`*.${zone}`);
    await stage.route(zone);
    await stage.route(`in.${zone}`);
    await stage.route(`deep.in.${zone}`);
    const cert = await until("the wildcard", async () => {
      const all = await stage.machine.call<CertInfo[]>("net.cert.ls");
      return all.find(({ name, names, state }) => {
        return name === `*.${zone}` && names.includes(zone) && state === "good";
      });
    });
    expect(cert.names).toEqual([`*.${zone}`, zone]);
    await stage.issued(`deep.in.${zone}`);
    const all = await stage.machine.call<CertInfo[]>("net.cert.ls");
    expect(all.map(({ name }) => name).sort()).toEqual([
      `*.${zone}`,
      `deep.in.${zone}`,
      "self-signed",
    ]);
    await until("the listener shows it", async () => {
      const { print } = await shown(stage.httpsPort, `in.${zone}`);
      return print === cert.fingerprint;
    });
    await until("the records are gone", () =>
      [...stage.names.texts.values()].every((values) => values.size === 0),
    );
    expect(stage.names.updates.refused).toBe(0);
    const shownSettings = JSON.stringify(await stage.machine.call("net.acme.show"));
    expect(shownSettings).not.toContain(secret);
  }, 60_000);

  test("a key the server does not know is a reason that can be read", async () => {
    await using stage = await Stage.open();
    const { address, keyName } = stage.names;
    const provider = { provider: "rfc2136", providerServer: address, providerKeyName: keyName };
    await stage.use({ ...provider, providerSecret: btoa("not the key") });
    await stage.route(`*.${zone}`);
    const failing = await until("a reason", async () => {
      const cert = await stage.cert(`*.${zone}`);
      return cert.problem === null ? null : cert;
    });
    expect(failing.problem?.text).toContain("the key is not the one it knows");
  }, 60_000);
});

describe("accounts", () => {
  test("external account binding, and what an authority without it says", async () => {
    const key = Buffer.from("0123456789abcdef0123456789abcdef").toString("base64url");
    await using stage = await Stage.open({ binding: { id: "kid-1", key } });
    await stage.use();
    const host = `c.${zone}`;
    await stage.route(host);
    const failing = await until("a reason", async () => {
      const cert = await stage.cert(host);
      return cert.problem === null ? null : cert;
    });
    expect(failing.problem?.text).toContain("externalAccountRequired");
    await stage.machine.call("net.acme.set", { bindingId: "kid-1", bindingKey: key });
    await stage.machine.call("net.cert.renew", { name: host });
    await stage.issued(host);
  }, 60_000);
});
