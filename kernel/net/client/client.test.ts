/** Clients through the listener: who one is, who may not come, and how often one may. */
import { describe, expect, test } from "bun:test";
import { bodyOf, fixture, head, raw, statusOf } from "../fixture.ts";
import { crowdedAbove } from "../limits.ts";
import { rulesMax } from "./limits.ts";

/** A listener behind a proxy on this machine, so that the test's clients have addresses. */
async function behindProxy(): Promise<ReturnType<typeof fixture>> {
  const at = fixture();
  await put(at, "127.0.0.1", "proxy");
  return at;
}

const put = (
  at: ReturnType<typeof fixture>,
  network: string,
  verdict: "deny" | "allow" | "proxy",
) => at.net.clients.put({ network, verdict, note: "", forMs: null });

const from = (...chain: string[]) => ({ headers: { "x-forwarded-for": chain.join(", ") } });

describe("who a client is", () => {
  const echo = (_request: Request, meta: { address: string | null }) =>
    Response.json({ address: meta.address });

  test("forwarded headers of a stranger are not believed", async () => {
    await using at = fixture();
    at.put({ name: "who", serve: echo });
    const headers = {
      "x-forwarded-for": "203.0.113.7",
      forwarded: "for=203.0.113.7",
      "x-real-ip": "203.0.113.7",
      "cf-connecting-ip": "203.0.113.7",
    };
    const response = await at.get("who.localhost", "/", { headers });
    expect(await response.json()).toEqual({ address: "127.0.0.1" });
    const os = await at.get("os.localhost", "/", {
      headers: { ...headers, "x-forwarded-proto": "https" },
    });
    expect(await os.json()).toMatchObject({ address: "127.0.0.1", secure: false });
  });

  test("behind trusted proxies it is the right-most that is none of them", async () => {
    await using at = await behindProxy();
    await put(at, "192.0.2.0/24", "proxy");
    at.put({ name: "who", serve: echo });
    const asked = async (...chain: string[]) => {
      const response = await at.get("who.localhost", "/", from(...chain));
      return ((await response.json()) as { address: string }).address;
    };
    expect(await asked("203.0.113.7")).toBe("203.0.113.7");
    expect(await asked("1.1.1.1", "203.0.113.7", "192.0.2.9")).toBe("203.0.113.7");
    expect(await asked("2001:DB8:0:0::7")).toBe("2001:db8::7");
    expect(await asked("1.1.1.1", "garbage")).toBe("127.0.0.1");
    const os = await at.get("os.localhost", "/", {
      headers: { "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7" },
    });
    expect(await os.json()).toMatchObject({ address: "203.0.113.7", secure: true });
  });
});

describe("denied", () => {
  test("clients behind a proxy get 403, at once and until it is taken back", async () => {
    await using at = await behindProxy();
    at.put({ name: "blog", files: { "/": "hello" } });
    const ask = (address: string) => at.get("blog.localhost", "/", from(address));
    // Twice: the second answer takes the short way.
    for (let i = 0; i < 2; i++) expect((await ask("203.0.113.7")).status).toBe(200);
    await put(at, "203.0.113.0/24", "deny");
    await put(at, "203.0.113.9", "allow");
    const refused = await ask("203.0.113.7");
    expect([refused.status, refused.headers.get("connection")]).toEqual([403, "close"]);
    expect((await ask("203.0.113.9")).status).toBe(200);
    expect((await ask("198.51.100.1")).status).toBe(200);
    await at.net.clients.rm("203.0.113.0/24");
    expect((await ask("203.0.113.7")).status).toBe(200);
  });

  test("this very machine never is, whatever is denied", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "hello" } });
    await put(at, "0.0.0.0/0", "deny");
    for (const own of ["127.0.0.0/8", "127.0.0.1", "::1"]) {
      await expect(put(at, own, "deny")).rejects.toMatchObject({ code: "EINVAL" });
    }
    expect((await at.get("blog.localhost")).status).toBe(200);
  });

  test("rules outlive the process, and end when they should", async () => {
    await using at = fixture();
    await at.net.clients.put({ network: "10.1.2.3", verdict: "deny", note: "n", forMs: 60_000 });
    await at.net.clients.put({ network: "10.1.2.4", verdict: "deny", note: "", forMs: 1 });
    const again = at.again();
    const [first, ...rest] = again.clients.ls();
    expect(first).toMatchObject({ network: "10.1.2.3/32", verdict: "deny", note: "n" });
    expect(rest.length).toBeLessThan(2);
    await again.close();
  });
});

test("rules that have ended make room for others", async () => {
  await using at = fixture();
  await at.storage.write((tx) => {
    const insert = "INSERT INTO net_client VALUES (?, 'deny', '', 1, 1)";
    for (let i = 0; i < rulesMax; i++) tx.run(insert, `10.0.${i >> 8}.${i & 255}/32`);
  });
  const again = at.again();
  expect(again.clients.ls()).toEqual([]);
  const wish = { network: "10.1.2.3", verdict: "deny", note: "", forMs: null } as const;
  expect((await again.clients.put(wish)).network).toBe("10.1.2.3/32");
  await again.close();
});

describe("how often", () => {
  test("a system-wide rate a client, with headers, and the OS host's own purse", async () => {
    await using at = await behindProxy();
    at.put({ name: "api", serve: () => new Response("x") });
    await at.net.limits.set("net.clientRatePerS", 2);
    const ask = async (address: string, host = "api") =>
      statusOf(
        await raw(
          at.port,
          head("GET / HTTP/1.1", `Host: ${host}.localhost`, `X-Forwarded-For: ${address}`),
        ),
      );
    const statuses = await Promise.all(Array.from({ length: 30 }, () => ask("203.0.113.7")));
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(10);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(5);
    expect(await ask("203.0.113.8")).toBe(200);
    expect(await ask("203.0.113.7", "os")).not.toBe(429);
    await put(at, "203.0.113.7", "allow");
    expect(await ask("203.0.113.7")).toBe(200);
  });

  test("clients of one /64 share their rate, others do not", async () => {
    await using at = await behindProxy();
    at.put({ name: "api", serve: () => new Response("x"), rate: 0.01 });
    const ask = async (address: string) =>
      (await at.get("api.localhost", "/", from(address))).status;
    expect(await ask("2001:db8:1:2::1")).toBe(200);
    expect(await ask("2001:db8:1:2:ffff::2")).toBe(429);
    expect(await ask("2001:db8:1:3::1")).toBe(200);
    expect(await ask("::ffff:203.0.113.7")).toBe(200);
    expect(await ask("203.0.113.7")).toBe(429);
  });

  test("an endpoint of its own, told as the draft says", async () => {
    await using at = fixture();
    const rate = [
      { path: "/login", method: "POST" as const, per: "client" as const, requests: 2, seconds: 60 },
      { path: "/api/*", method: null, per: "app" as const, requests: 3, seconds: 60 },
    ];
    at.put({ name: "shop", serve: () => new Response("x"), rate });
    const post = (path: string) => at.get("shop.localhost", path, { method: "POST" });
    const first = await post("/login");
    expect(first.status).toBe(200);
    expect(first.headers.get("ratelimit-policy")).toBe('"POST /login";q=2;w=60');
    expect(first.headers.get("ratelimit")).toBe('"POST /login";r=1;t=30');
    expect((await post("/l%6Fgin/")).status).toBe(200);
    const refused = await post("//login");
    expect(refused.status).toBe(429);
    expect(refused.headers.get("ratelimit")).toMatch(/^"POST \/login";r=0;t=\d+$/);
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    expect((await at.get("shop.localhost", "/login")).status).toBe(200);
    for (let i = 0; i < 3; i++) expect((await post(`/api/${i}`)).status).toBe(200);
    expect((await post("/api/4")).status).toBe(429);
    const free = await post("/elsewhere");
    expect([free.status, free.headers.get("ratelimit")]).toEqual([200, null]);
    const raw429 = await raw(
      at.port,
      head(
        "POST /api/x HTTP/1.1",
        "Host: shop.localhost",
        "Accept: application/json",
        "Content-Length: 0",
      ),
    );
    expect(JSON.parse(bodyOf(raw429))).toMatchObject({ error: { code: "EAGAIN" } });
  });
});

test("while places are short one client has its share and no more; others are answered", async () => {
  await using at = await behindProxy();
  const go = Promise.withResolvers<void>();
  const full = Promise.withResolvers<void>();
  let asked = 0;
  const serve = async (request: Request): Promise<Response> => {
    if (new URL(request.url).pathname === "/quick") return new Response("now");
    if (++asked === crowdedAbove + 3) full.resolve();
    await go.promise;
    return new Response("done");
  };
  at.put({ name: "slow", serve });
  await at.net.limits.set("net.clientInFlightMax", 3);
  const ask = (address: string, path = "/") =>
    raw(
      at.port,
      head(`GET ${path} HTTP/1.1`, "Host: slow.localhost", `X-Forwarded-For: ${address}`),
    );
  const greedy = "203.0.113.7";
  // It has three before there is a crowd, each of which is somebody else.
  const held = Array.from({ length: crowdedAbove }, (_, i) => ask(`198.51.${i >> 8}.${i & 255}`));
  held.push(ask(greedy), ask(greedy), ask(greedy));
  await full.promise;
  const refused = await ask(greedy, "/quick");
  expect([statusOf(refused), /retry-after: \d/i.test(refused)]).toEqual([503, true]);
  expect(statusOf(await ask("203.0.113.8", "/quick"))).toBe(200);
  go.resolve();
  expect((await Promise.all(held)).every((answer) => statusOf(answer) === 200)).toBe(true);
  expect(statusOf(await ask(greedy, "/quick"))).toBe(200);
}, 60_000);
