/**
 * HTTP/2 by clients that are not ours: nghttp2's h2load, many streams on few connections, and curl.
 * Files and an app's server, both ways, with windows so small that everybody waits for everybody.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { bodyBytesMax } from "../../kernel/net/limits.ts";
import { type KernelProcess, run, startProcess } from "../process.ts";

const hash = (bytes: Uint8Array): string =>
  new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

const server = `
export default {
  async fetch(request) {
    if (request.method === "GET") return new Response("from the app");
    const { pathname } = new URL(request.url);
    if (pathname === "/enough") return new Response("enough");
    if (pathname === "/see") return Response.redirect("/", 303);
    const hasher = new Bun.CryptoHasher("sha256");
    for await (const piece of request.body) hasher.update(piece);
    return new Response(hasher.digest("hex"));
  },
};
`;

let machine: KernelProcess;
let url = "";
let dir = "";
const large = crypto.getRandomValues(new Uint8Array(65_536)).toHex().repeat(48);
beforeAll(async () => {
  machine = await startProcess();
  dir = machine.scratch("app");
  await Bun.write(join(dir, "public/index.html"), "from a file");
  await Bun.write(join(dir, "public/large.txt"), large);
  writeFileSync(join(dir, "server.ts"), server);
  await machine.faztJson("app", "deploy", dir, "--name", "two");
  url = `https://two.localhost:${new URL(machine.ready.https ?? "").port}`;
}, 60_000);
afterAll(() => machine[Symbol.asyncDispose]());

/** Runs h2load on a path; throws unless each request was answered 200. */
async function h2load(count: number, path: string, ...args: string[]): Promise<void> {
  const address = `127.0.0.1:${new URL(url).port}`;
  const about = ["h2load", "-n", String(count), "--connect-to", address, ...args];
  const { stdout, stderr } = await run([...about, `${url}${path}`], { timeout: 120_000 });
  if (!stdout.includes(`${count} succeeded, 0 failed, 0 errored, 0 timeout`)) {
    throw new Error(`${stdout}${stderr}`);
  }
  expect(stdout).toContain("Application protocol: h2");
  expect(stdout).toContain(`${count} 2xx, 0 3xx, 0 4xx, 0 5xx`);
}

const curl = async (...args: string[]): Promise<string> => {
  const to = ["--connect-to", `::127.0.0.1:${new URL(url).port}`];
  const ended = await run(["curl", "-sSk", "--http2", ...to, ...args], { timeout: 120_000 });
  if (ended.code !== 0) throw new Error(ended.stderr);
  return ended.stdout;
};

describe("h2load", () => {
  test("files and the app, a hundred streams a connection", async () => {
    await h2load(3000, "/", "-c", "5", "-m", "100");
    await h2load(1000, "/app", "-c", "4", "-m", "100");
  }, 120_000);

  test("bodies that are sent and read through windows of 16 KB", async () => {
    const small = ["-w", "14", "-W", "14"];
    const body = join(dir, "body");
    writeFileSync(body, large.slice(0, 200_000));
    await h2load(100, "/app", "-c", "2", "-m", "10", "-d", body, ...small);
    await h2load(20, "/large.txt", "-c", "2", "-m", "5", ...small);
  }, 120_000);
});

describe("curl --http2", () => {
  test("takes a large file from five streams of one connection, whole", async () => {
    const names = Array.from({ length: 5 }, (_, n) => join(dir, `got-${n}`));
    const wanted = names.flatMap((name) => ["-o", name, `${url}/large.txt`]);
    const told = await curl("--parallel", "-w", "%{http_version} %{http_code}\n", ...wanted);
    expect(told).toBe("2 200\n".repeat(5));
    for (const name of names) expect(await Bun.file(name).text()).toBe(large);
  }, 120_000);

  test("sends a large body that arrives whole, of known length and of unknown", async () => {
    const path = join(dir, "public/large.txt");
    const sum = hash(Buffer.from(large));
    expect(await curl("--data-binary", `@${path}`, `${url}/app`)).toBe(sum);
    const unknown = ["-T", path, "-H", "Content-Length:"];
    expect(await curl(...unknown, `${url}/app`)).toBe(sum);
  }, 120_000);

  test("hears an app that answers before the body is whole, small, large or of no known length", async () => {
    const path = join(dir, "public/large.txt");
    const small = join(dir, "small");
    writeFileSync(small, large.slice(0, 100_000));
    const say = ["-w", " %{http_version} %{http_code}"];
    for (const file of [small, path]) {
      expect(await curl(...say, "--data-binary", `@${file}`, `${url}/enough`)).toBe("enough 2 200");
      const unknown = ["-T", file, "-H", "Content-Length:"];
      expect(await curl(...say, ...unknown, `${url}/enough`)).toBe("enough 2 200");
      expect(await curl(...say, "--data-binary", `@${file}`, `${url}/see`)).toBe(" 2 303");
    }
  }, 120_000);

  test("may send so much and no more, of known length or of none", async () => {
    const path = join(dir, "much");
    writeFileSync(path, Buffer.alloc(bodyBytesMax + 1));
    const to = [
      "--connect-to",
      `::127.0.0.1:${new URL(url).port}`,
      "-H",
      "Content-Type: text/plain",
    ];
    const say = ["-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", ...to];
    // It breaks its upload off when it hears a refusal, and calls the stream unclean for that.
    const told = async (...args: string[]) =>
      (await run(["curl", ...say, ...args, `${url}/app`], { timeout: 120_000 })).stdout;
    expect(await told("--data-binary", `@${path}`)).toBe("2 413");
    expect(await told("-T", path, "-X", "POST", "-H", "Content-Length:")).toBe("2 413");
  }, 120_000);

  test("hears why it is refused while it still sends: by the system, and where nobody is", async () => {
    const file = ["--data-binary", `@${join(dir, "public/large.txt")}`];
    const port = new URL(url).port;
    const say = ["-sk", "--http2", "--connect-to", `::127.0.0.1:${port}`, "-w", " %{http_code}"];
    const told = async (where: string) => (await run(["curl", ...say, ...file, where])).stdout;
    const system = await told(`https://os.localhost:${port}/sys/app/ls`);
    expect(system).toContain('"ENOKEY"');
    expect(system).toEndWith(" 401");
    expect(await told(`https://nobody.localhost:${port}/`)).toEndWith(" 421");
  }, 120_000);

  test("has its ranges and conditions as with HTTP/1.1", async () => {
    const say = ["-w", " %{http_version} %{http_code}"];
    expect(await curl(...say, "-r", "0-3", `${url}/large.txt`)).toBe(`${large.slice(0, 4)} 2 206`);
    const head = await curl("-I", `${url}/large.txt`);
    const etag = /^etag: (.*)$/im.exec(head)?.[1]?.trim() ?? "";
    expect(await curl(...say, "-H", `If-None-Match: ${etag}`, `${url}/large.txt`)).toBe(" 2 304");
  });
});
