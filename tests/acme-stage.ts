/**
 * The stage of certificate tests: a kernel in a process of its own with an app, a name server of the
 * test's, and Pebble that sees both.
 */
import { writeFileSync } from "node:fs";
import { connect } from "node:tls";
import type { CertInfo } from "../kernel/net/mod.ts";
import { type NameServer, startNameServer } from "./name-server.ts";
import { freePort, type Pebble, type PebbleOptions, startPebble } from "./pebble.ts";
import { type KernelProcess, startProcess, until } from "./process.ts";

/** Whose names the name server is asked for. */
export const zone = "fazt-zone.net";

/** A kernel with an app, a name server, and Pebble that sees both. */
export class Stage implements AsyncDisposable {
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
export function shown(port: number, servername: string): Promise<{ print: string; names: string }> {
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
