/**
 * Pebble, the ACME authority that Let's Encrypt made for tests, in a process of its own: it refuses
 * nonces now and then, shuffles what it may, and validates over real HTTP and DNS.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realMachine } from "../kernel/machine.ts";
import { makeSelf } from "../kernel/net/cert/mod.ts";
import { until } from "./process.ts";

export interface PebbleOptions {
  /** Where it looks for HTTP-01's answers: the kernel's own port. */
  readonly httpPort: number;
  /** The name server it asks, `127.0.0.1:port`. */
  readonly dns: string;
  /** Seconds a certificate is good for. */
  readonly lifeS?: number;
  /** Requests in a hundred whose nonce it refuses. */
  readonly nonceReject?: number;
  /** Key id and key (base64url) of the accounts it takes; null: any. */
  readonly binding?: { readonly id: string; readonly key: string };
}

export interface Pebble extends AsyncDisposable {
  readonly directory: string;
  /** PEM to trust for the directory. */
  readonly roots: string;
  /** What it has said so far. */
  log(): string;
}

/** A port that nobody has at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A certificate for this machine, and its key, in PEM. */
function localCertificate(): { cert: string; key: string } {
  const { chain, key } = makeSelf(realMachine(), ["localhost", "127.0.0.1"]);
  return { cert: chain, key };
}

export async function startPebble(options: PebbleOptions): Promise<Pebble> {
  const home = mkdtempSync(join(tmpdir(), "fazt-pebble-"));
  const { cert, key } = localCertificate();
  writeFileSync(join(home, "cert.pem"), cert);
  writeFileSync(join(home, "key.pem"), key);
  const [port, managementPort] = [await freePort(), await freePort()];
  const { binding } = options;
  const pebble = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${managementPort}`,
    certificate: join(home, "cert.pem"),
    privateKey: join(home, "key.pem"),
    httpPort: options.httpPort,
    tlsPort: 1,
    ocspResponderURL: "",
    externalAccountBindingRequired: binding !== undefined,
    ...(binding && { externalAccountMACKeys: { [binding.id]: binding.key } }),
    ...(options.lifeS && { certificateValidityPeriod: options.lifeS }),
  };
  writeFileSync(join(home, "config.json"), JSON.stringify({ pebble }));
  const command = ["pebble", "-config", join(home, "config.json"), "-dnsserver", options.dns];
  const child = Bun.spawn(command, {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"] ?? "",
      PEBBLE_VA_NOSLEEP: "1",
      PEBBLE_WFE_NONCEREJECT: String(options.nonceReject ?? 5),
      PEBBLE_AUTHZREUSE: "0",
    },
  });
  let said = "";
  const listen = async (stream: ReadableStream<Uint8Array>) => {
    for await (const chunk of stream) said += Buffer.from(chunk).toString();
  };
  void listen(child.stdout);
  void listen(child.stderr);
  const directory = `https://127.0.0.1:${port}/dir`;
  const tls = { ca: cert };
  await until("pebble answers", () =>
    fetch(directory, { tls }).then(
      (response) => response.ok,
      () => {
        if (child.exitCode !== null) throw new Error(`pebble ended: ${said}`);
        return false;
      },
    ),
  );
  return {
    directory,
    roots: cert,
    log: () => said,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
      rmSync(home, { recursive: true, force: true });
    },
  };
}
