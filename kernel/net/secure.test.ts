/** The TLS listener, by clients that are not ours: what it speaks, and certificates that change. */
import { describe, expect, test } from "bun:test";
import { connect } from "node:tls";
import { realMachine } from "../machine.ts";
import { createCertStore, makeSelf } from "./cert/mod.ts";
import { type Fixture, fixture } from "./fixture.ts";
import { openSecure } from "./secure.ts";
import { listenersOf } from "./steer.ts";

const os = () => new Response("os");

/** A certificate in the database as if an authority had issued it. */
async function issue(at: Fixture, ...names: string[]): Promise<void> {
  const made = makeSelf(realMachine(), names);
  const cert = { ...made, name: names[0] ?? "", issuer: "acme" as const };
  const store = createCertStore(at.storage, at.security);
  await at.storage.write((tx) => store.put(tx, cert));
}

async function output(command: string[], stdin = ""): Promise<string> {
  const child = Bun.spawn(command, { stdin: new Blob([stdin]), stdout: "pipe", stderr: "pipe" });
  const texts = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return texts.join("\n");
}

const curl = (port: number, ...args: string[]) =>
  output(["curl", "-sk", "--connect-to", `::127.0.0.1:${port}`, ...args]);

const openssl = (port: number, ...args: string[]) =>
  output(["openssl", "s_client", "-connect", `127.0.0.1:${port}`, ...args]);

/** The SHA-256 fingerprint of the certificate that is shown for a name (null: none is asked for). */
function shown(port: number, servername: string | null): Promise<string> {
  const done = Promise.withResolvers<string>();
  const name = servername === null ? {} : { servername };
  const to = { host: "127.0.0.1", port, rejectUnauthorized: false, ...name };
  const socket = connect(to, () => {
    done.resolve(socket.getPeerCertificate().fingerprint256);
    socket.destroy();
  });
  socket.on("error", done.reject);
  return done.promise;
}

/** One request over a connection of its own. */
function once(port: number): Promise<string> {
  const done = Promise.withResolvers<string>();
  let said = "";
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
    socket.write("GET /a.txt HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n");
  });
  socket.on("data", (data: Buffer) => {
    said += data.toString();
  });
  socket.on("error", done.reject);
  socket.on("close", () => done.resolve(said));
  return done.promise;
}

describe("what it speaks", () => {
  test("TLS 1.3, and 1.2 with forward secrecy and AEAD; nothing older or weaker", async () => {
    await using at = fixture();
    const { port } = await at.net.listenSecure("127.0.0.1:0", os);
    const weakest = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";
    const agreed = async (...args: string[]) =>
      /Cipher is (\S+)/.exec(await openssl(port, ...args))?.[1];
    expect(await agreed("-tls1_3")).toStartWith("TLS_");
    expect(await agreed("-tls1_2")).toMatch(/^ECDHE-ECDSA-(AES|CHACHA20).*(GCM|POLY1305)/);
    for (const old of ["-tls1", "-tls1_1"]) {
      expect(await agreed(old, "-cipher", weakest)).toBe("(NONE)");
    }
    const weak = ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-SHA", "NULL"];
    for (const cipher of weak) {
      expect(await agreed("-tls1_2", "-cipher", `${cipher}:@SECLEVEL=0`)).not.toBe(cipher);
    }
  });

  test("HTTP/1.1 and HTTP/2, as the client asks", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/a.txt": "hello" }, serve: () => new Response("app") });
    const { port, url } = await at.net.listenSecure("127.0.0.1:0", os);
    expect(url).toBe(`https://127.0.0.1:${port}`);
    const say = ["-w", " %{http_version} %{http_code}"];
    for (const path of ["/a.txt", "/app"]) {
      const body = path === "/app" ? "app" : "hello";
      const to = `https://blog.localhost:${port}${path}`;
      expect((await curl(port, "--http2", ...say, to)).trim()).toBe(`${body} 2 200`);
      expect((await curl(port, "--http1.1", ...say, to)).trim()).toBe(`${body} 1.1 200`);
    }
    expect(at.net.status().https).toBe(url);
  });

  test("IPv6 and IPv4 alike on every interface", async () => {
    await using at = fixture();
    const { port } = await at.net.listenSecure(":0", os);
    const health = async (host: string) => output(["curl", "-sk", `https://${host}:${port}/`]);
    const answers = [await health("127.0.0.1"), await health("[::1]")];
    expect(answers.map((text) => text.includes("fazt machine"))).toEqual([true, true]);
  });

  test("a port in use is EADDRINUSE, and the hint names the flag", async () => {
    await using at = fixture();
    await using other = fixture();
    const { port } = await at.net.listenSecure("127.0.0.1:0", os);
    const refused = other.net.listenSecure(`127.0.0.1:${port}`, os);
    await expect(refused).rejects.toMatchObject({ code: "EADDRINUSE" });
    await expect(other.net.listenSecure("x", os)).rejects.toMatchObject({
      hint: expect.stringContaining("--https"),
    });
  });
});

describe("what it shows", () => {
  test("a certificate of its own signing, the same after a restart", async () => {
    await using at = fixture();
    expect(at.net.certs.fingerprint()).toBeNull();
    const { port } = await at.net.listenSecure("127.0.0.1:0", os);
    const own = at.net.certs.fingerprint() ?? "";
    for (const name of [null, "localhost", "any.example.net"]) {
      expect(await shown(port, name)).toBe(own);
    }
    const again = at.again();
    await again.listenSecure("127.0.0.1:0", os);
    expect(again.certs.fingerprint()).toBe(own);
    await again.close();
  });

  test("by name: exact, wildcard, else the machine's own", async () => {
    await using at = fixture({ domain: "d.example" });
    await issue(at, "x.example");
    await issue(at, "*.w.example", "w.example");
    const { port } = await at.net.listenSecure("127.0.0.1:0", os);
    const print = (name: string) => at.net.certs.show(name).fingerprint ?? "";
    expect(await shown(port, "x.example")).toBe(print("x.example"));
    expect(await shown(port, "w.example")).toBe(print("*.w.example"));
    expect(await shown(port, "a.w.example")).toBe(print("*.w.example"));
    expect(await shown(port, "a.b.w.example")).toBe(print("self-signed"));
    expect(await shown(port, null)).toBe(print("self-signed"));
    expect(at.net.certs.ls().map(({ name }) => name)).toEqual([
      "self-signed",
      "*.w.example",
      "x.example",
    ]);
  });

  test("who names nobody is shown the OS host's, where that has one", async () => {
    await using at = fixture({ domain: "d.example" });
    await issue(at, "*.d.example", "d.example");
    const { port } = await at.net.listenSecure("127.0.0.1:0", os);
    expect(await shown(port, null)).toBe(at.net.certs.show("d.example").fingerprint ?? "");
    expect(await shown(port, "localhost")).toBe(at.net.certs.fingerprint() ?? "");
  });
});

describe("HTTP beside it", () => {
  test("leads to HTTPS where an authority vouches for the host, and nowhere else", async () => {
    await using at = fixture({ domain: "d.example" });
    at.put({ name: "blog", files: { "/a.txt": "hello" }, routes: ["x.example"] });
    await issue(at, "x.example");
    const { port } = await at.net.listenSecure("127.0.0.1:0", os);
    const asked = async (host: string, path: string) => {
      const response = await at.get(host, path);
      return [response.status, response.headers.get("location")];
    };
    const own = `x.example:${at.port}`;
    expect(await asked(own, "/a.txt?q=1")).toEqual([308, `https://x.example:${port}/a.txt?q=1`]);
    // By a port that is not ours: something in between maps ports, and 443 is its other one.
    expect(await asked("x.example", "/a.txt")).toEqual([308, "https://x.example/a.txt"]);
    expect(await asked(own, "/sys/health")).toEqual([200, null]);
    expect(await asked(`blog.d.example:${at.port}`, "/a.txt")).toEqual([200, null]);
    expect(await asked("other.example", "/")).toEqual([421, null]);
  });

  test("Strict-Transport-Security over TLS, for such a host alone; hot and cold alike", async () => {
    await using at = fixture({ domain: "d.example" });
    const serve = () => new Response("app");
    at.put({ name: "blog", files: { "/a.txt": "hello" }, routes: ["x.example"], serve });
    await issue(at, "x.example");
    const { port } = await at.net.listenSecure("127.0.0.1:0", os);
    const header = async (host: string, path: string) =>
      /strict-transport-security: (.*)/.exec(
        await curl(port, "-D", "-", "-o", "/dev/null", `https://${host}:${port}${path}`),
      )?.[1];
    for (const path of ["/a.txt", "/a.txt", "/app"]) {
      expect((await header("x.example", path))?.trim()).toBe("max-age=31536000");
      expect(await header("blog.d.example", path)).toBeUndefined();
    }
    expect((await at.get("blog.d.example", "/app")).headers.has("strict-transport-security")).toBe(
      false,
    );
    // The owner may not want it: known files forget it as well, and get it again.
    for (const hsts of [false, true]) {
      await at.net.certs.set({ hsts });
      const wanted = hsts ? "max-age=31536000" : undefined;
      for (const path of ["/a.txt", "/a.txt", "/app"])
        expect((await header("x.example", path))?.trim()).toBe(wanted);
    }
  });
});

describe("certificates that change", () => {
  /** Gives the machine other domains, each of which is another certificate. */
  async function change(at: Fixture, times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      const before = at.net.certs.fingerprint();
      at.own(`d${i}.example`);
      await at.get("localhost", "/sys/health");
      expect(at.net.certs.fingerprint()).not.toBe(before);
      const { port } = new URL(at.net.status().https ?? "");
      // New connections come to the successor at once.
      expect(await shown(Number(port), null)).toBe(at.net.certs.fingerprint() ?? "");
      await new Promise((resolve) => realMachine().after(1700, () => resolve(null)));
    }
  }

  test("cost no request under load: connections kept alive", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/a.txt": "hello" }, routes: ["x.example"] });
    const { port } = await at.net.listenSecure("127.0.0.1:0", os);
    const load = ["wrk", "-t1", "-c16", "-d6s", "-H", "Host: x.example"];
    const told = output([...load, `https://127.0.0.1:${port}/a.txt`]);
    await change(at, 3);
    const said = await told;
    expect(Number(/(\d+) requests in/.exec(said)?.[1])).toBeGreaterThan(100);
    expect(said).not.toContain("Socket errors");
    expect(said).not.toContain("Non-2xx");
  }, 30_000);

  test("cost no request under load: a connection a request", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/a.txt": "hello" }, routes: ["x.example"] });
    const { port } = await at.net.listenSecure("127.0.0.1:0", os);
    let asked = 0;
    let ended = false;
    const failures: string[] = [];
    const client = async (): Promise<void> => {
      while (!ended) {
        asked++;
        const said = await once(port).catch((error: unknown) => String(error));
        if (!said.startsWith("HTTP/1.1 200") || !said.endsWith("hello")) failures.push(said);
      }
    };
    const clients = Array.from({ length: 16 }, client);
    await change(at, 3);
    ended = true;
    await Promise.all(clients);
    expect(failures).toEqual([]);
    expect(asked).toBeGreaterThan(100);
  }, 30_000);

  test("wait while another kernel has the port too, whose visitors come here already", async () => {
    const machine = realMachine();
    const { key, chain } = makeSelf(machine, ["x.example"]);
    const open = (address: string, beside: boolean) =>
      openSecure(address, {
        machine,
        beside,
        make: () => ({
          desk: { draining: false } as never,
          serving: {
            handle: () => new Response("hello"),
            websocket: { message: () => undefined },
            tls: [{ key, cert: chain }],
            idleS: 10,
          },
        }),
        failed: (error) => expect(error).toBeNull(),
      });
    const before = open("127.0.0.1:0", false);
    const after = open(`127.0.0.1:${before.current().server.port}`, true);
    const first = after.current();
    after.swap();
    expect(after.current()).toBe(first);
    // A swap that is under way is over before the next kernel listens.
    const port = before.current().server.port ?? 0;
    before.swap();
    expect(listenersOf(port).size).toBe(3);
    await before.close();
    expect(listenersOf(port).size).toBe(2);
    await before.current().server.stop(true);
    after.alone();
    expect(after.current()).not.toBe(first);
    await after.close();
    await Promise.all(after.all().map(({ server }) => server.stop(true)));
  });

  test("a WebSocket and a stream of before go on", async () => {
    await using at = fixture();
    const more = Promise.withResolvers<void>();
    const serve = () =>
      new Response(
        new ReadableStream({
          start: (to) => void to.enqueue("one "),
          pull: async (to) => {
            await more.promise;
            to.enqueue("two");
            to.close();
          },
        }),
      );
    at.put({ name: "blog", serve, routes: ["x.example"] });
    const { url } = await at.net.listenSecure("127.0.0.1:0", os);
    const init = { headers: { host: "x.example" }, tls: { rejectUnauthorized: false } };
    const response = await fetch(`${url}/`, init);
    const reader = response.body?.getReader();
    const read = async () => Buffer.from((await reader?.read())?.value ?? []).toString();
    expect(await read()).toBe("one ");
    await change(at, 2);
    more.resolve();
    expect(await read()).toBe("two");
  });
});
