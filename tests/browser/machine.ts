/**
 * A real kernel in a process of its own, as `fazt proc start` makes it, on a temporary data
 * directory and a free port. What it prints when it is ready is in hand; closing ends it in order.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Ready } from "../../init/start.ts";

const main = fileURLToPath(new URL("../../init/main.ts", import.meta.url));

export interface TestMachine extends AsyncDisposable {
  readonly ready: Ready;
  readonly port: number;
  readonly dataDir: string;
  /** The URL of a host below `localhost`, once the machine is claimed for it. */
  url(name: string): string;
  /** A system call over HTTP with a token; answers its JSON. */
  call<T>(token: string, name: string, input?: unknown): Promise<T>;
}

/** What the tests' owner answers in the wizard. */
export const owner = {
  rootPass: "gravel otter lamp seven",
  domain: "localhost",
  email: "me@example.com",
} as const;

/** Starts one; nothing of it is left when it is disposed of. */
export async function startMachine(...more: readonly string[]): Promise<TestMachine> {
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-browser-"));
  const options = [
    "--data",
    dataDir,
    "--http",
    "127.0.0.1:0",
    "--json",
    "--insecure-no-sandbox",
    ...more,
  ];
  const child = Bun.spawn([process.execPath, "--no-env-file", main, "proc", "start", ...options], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ready = await firstLine(child.stdout);
  const { port } = new URL(ready.http);
  return {
    ready,
    port: Number(port),
    dataDir,
    url: (name) => `http://${name}.localhost:${port}`,
    call: async <T>(token: string, name: string, input: unknown = {}) => {
      const response = await fetch(`${ready.http}/sys/${name.replaceAll(".", "/")}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, host: `os.localhost:${port}` },
        body: JSON.stringify(input),
      });
      if (!response.ok) throw new Error(`${name}: ${await response.text()}`);
      return (await response.json()) as T;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await child.exited;
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function firstLine(stdout: ReadableStream<Uint8Array>): Promise<Ready> {
  let text = "";
  const decoder = new TextDecoder();
  const reader = stdout.getReader();
  while (!text.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the kernel ended before it was ready: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  return JSON.parse(text) as Ready;
}

/** Claims a machine without the wizard; answers its token. */
export async function claimMachine(machine: TestMachine): Promise<string> {
  const response = await fetch(`${machine.ready.http}/sys/setup/claim`, {
    method: "POST",
    body: JSON.stringify({ code: machine.ready.setupCode, ...owner }),
  });
  const { token } = (await response.json()) as { token: string };
  return token;
}

/** Deploys files as they are: a static site, or with `server.js` a program. */
export async function deployFiles(
  machine: TestMachine,
  token: string,
  app: { readonly name: string; readonly files: Readonly<Record<string, string>> },
): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, host: `os.localhost:${machine.port}` };
  const files = [];
  for (const [path, text] of Object.entries(app.files)) {
    const put = `${machine.ready.http}/sys/fs/blob/put`;
    const response = await fetch(put, { method: "POST", headers, body: text });
    if (!response.ok) throw new Error(`fs.blob.put: ${await response.text()}`);
    const hash = new Bun.CryptoHasher("sha256").update(text).digest("hex");
    files.push({ path, hash, sizeBytes: Buffer.byteLength(text) });
  }
  const manifest = "server.js" in app.files ? { server: "server.js" } : {};
  await machine.call(token, "app.deploy", { name: app.name, manifest, files });
}
