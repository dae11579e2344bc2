// The OS's pages as they are sent, over the real kernel: who sees what before and after the claim,
// with which headers, and what is refused how.
import { expect, test } from "bun:test";
import { createSys } from "../kernel/syscall/mod.ts";
import { type TestKernel, testKernel } from "../tests/kernel.ts";
import { createOs } from "./os.ts";

function handler(machine: TestKernel, unclaimed: boolean, domain: string | null = null) {
  const os = createOs(createSys(machine), domain);
  const context = { address: "127.0.0.1", secure: false, requestId: "r1", unclaimed };
  return async (path: string, init: RequestInit = {}) =>
    os(new Request(`http://os.localhost${path}`, init), context);
}

const html = { accept: "text/html,*/*;q=0.8" };

test("an unclaimed machine shows the wizard at every page, and nothing else", async () => {
  await using machine = await testKernel({ claimed: false });
  const ask = handler(machine, true, "home.example");
  for (const path of ["/", "/some/where"]) {
    const page = await ask(path, { headers: html });
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('<form id="wizard"');
  }
  expect(await (await ask("/")).text()).toContain('content="home.example"');
  const other = await ask("/api/x");
  expect(other.status).toBe(403);
  expect(await other.json()).toMatchObject({ error: { code: "EACCES", call: null } });
});

test("the suggested domain cannot break out of the page", async () => {
  await using machine = await testKernel({ claimed: false });
  const page = await handler(machine, true, '"><script>$&')("/");
  const text = await page.text();
  expect(text).not.toContain('"><script>');
  expect(text).toContain("&quot;&gt;&lt;script&gt;$&amp;");
});

test("a claimed machine shows the shell at / and 404 elsewhere", async () => {
  await using machine = await testKernel();
  const ask = handler(machine, false);
  expect(await (await ask("/")).text()).toContain('id="shell"');
  const page = await ask("/nope", { headers: html });
  expect(page.status).toBe(404);
  expect(await page.text()).toContain('<a href="/">');
  const other = await ask("/nope");
  expect(other.status).toBe(404);
  expect(await other.json()).toMatchObject({ error: { code: "ENOENT" } });
});

test("pages have a strict policy and are never kept", async () => {
  await using machine = await testKernel({ claimed: false });
  const { headers } = await handler(machine, true)("/");
  const policy = headers.get("content-security-policy") ?? "";
  for (const rule of [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ]) {
    expect(policy.split("; ")).toContain(rule);
  }
  expect(headers.get("cache-control")).toBe("no-store");
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("referrer-policy")).toBe("no-referrer");
});

test("files are kept for ever under their hash, and asked again without it", async () => {
  await using machine = await testKernel({ claimed: false });
  const ask = handler(machine, true);
  const page = await (await ask("/")).text();
  const [path = ""] = /\/os\/setup\.js\?v=[\w-]+/.exec(page) ?? [];
  const file = await ask(path);
  expect(file.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
  expect(file.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
  const etag = file.headers.get("etag") ?? "";
  const script = await file.text();
  expect(script).toMatch(/from "\.\/call\.js\?v=[\w-]+"/);
  for (const stale of ["/os/setup.js", "/os/setup.js?v=old"]) {
    expect((await ask(stale)).headers.get("cache-control")).toBe("no-cache");
  }
  const again = await ask("/os/setup.js", { headers: { "if-none-match": `"x", W/${etag}` } });
  expect([again.status, await again.text()]).toEqual([304, ""]);
});

test("every file a page or another file names is there", async () => {
  await using machine = await testKernel({ claimed: false });
  const setup = handler(machine, true);
  const shell = handler(machine, false);
  const waiting = [await (await setup("/")).text(), await (await shell("/")).text()];
  const seen = new Set<string>();
  for (let text = waiting.pop(); text !== undefined; text = waiting.pop()) {
    for (const [, name = ""] of text.matchAll(/"(?:\/os\/|\.\/)([^"]+)"/g)) {
      if (seen.has(name)) continue;
      seen.add(name);
      const file = await shell(`/os/${name}`);
      expect([name, file.status]).toEqual([name, 200]);
      waiting.push(await file.text());
    }
  }
  expect([...seen].every((name) => name.includes("?v="))).toBe(true);
  expect(seen.size).toBeGreaterThan(12);
});

test("HEAD is GET without the body; other methods are refused", async () => {
  await using machine = await testKernel({ claimed: false });
  const ask = handler(machine, true);
  const get = await ask("/");
  const head = await ask("/", { method: "HEAD" });
  expect(await head.text()).toBe("");
  expect(head.headers.get("content-length")).toBe(get.headers.get("content-length"));
  for (const path of ["/", "/os/os.css"]) {
    const post = await ask(path, { method: "POST" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  }
});

test("paths below /sys/ are the system's", async () => {
  await using machine = await testKernel({ claimed: false });
  const ask = handler(machine, true);
  expect(await (await ask("/sys/health")).json()).toMatchObject({ status: "ok", mode: "setup" });
  const claim = await ask("/sys/setup/claim", {
    method: "POST",
    body: JSON.stringify({ code: "x", rootPass: "x", domain: "x", email: "x" }),
  });
  expect(claim.status).toBe(403);
});

test("HTTP/1.0 without a Host gets the wizard over a real listener", async () => {
  await using machine = await testKernel({ claimed: false });
  const os = createOs(createSys(machine), null);
  const { port } = machine.kernel.net.listen("127.0.0.1:0", os);
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => {
        socket.write("GET / HTTP/1.0\r\n\r\n");
      },
      data: (_, chunk) => {
        text += chunk.toString();
      },
      close: () => resolve(text),
    },
  });
  const answer = await promise;
  expect(answer.split("\r\n")[0]).toContain("200");
  expect(answer).toContain('<form id="wizard"');
});
