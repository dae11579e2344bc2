/** The HTTP bridge on a whole kernel: statuses, bodies, streams, cookies and origins. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type TestKernel, testKernel, testRootPass } from "../../tests/kernel.ts";
import { localOwner } from "../caller.ts";
import { createSys, type Sys } from "./mod.ts";

let kernel: TestKernel;
let sys: Sys;
let token: string;

beforeAll(async () => {
  kernel = await testKernel();
  sys = createSys(kernel);
  const made = await kernel.kernel.security.tokens.add(localOwner("socket"), {
    name: "test",
    capabilities: ["storage:*"],
    ttlMs: null,
  });
  token = made.token;
});
afterAll(() => kernel[Symbol.asyncDispose]());

const origin = "http://os.localhost:8080";

/** One request through the bridge, as the listener would hand it over. */
function send(path: string, init: RequestInit = {}, secure = false): Promise<Response> {
  const request = new Request(`${origin}${path}`, init);
  return sys(request, new URL(request.url), { address: "192.0.2.1", secure });
}

const json = { "content-type": "application/json" };
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  send(path, { method: "POST", body: JSON.stringify(body), headers: { ...json, ...headers } });
const bearer = () => ({ authorization: `Bearer ${token}` });

/** The body of a response, as the test expects it to be. */
const bodyOf = async <T>(response: Response): Promise<T> => (await response.json()) as T;
const codeOf = async (response: Response) =>
  (await bodyOf<{ error: { code: string } }>(response)).error.code;

/** Logs in and answers the cookie. */
async function cookie(): Promise<string> {
  const response = await post("/sys/security/login", { password: testRootPass });
  expect(response.status).toBe(200);
  expect(await response.json()).not.toHaveProperty("session");
  return (response.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
}

describe("calls over HTTP", () => {
  test("a token with the scope may call", async () => {
    const response = await post("/sys/storage/status", {}, bearer());
    expect(response.status).toBe(200);
    expect(await response.json()).toHaveProperty("schemaVersion");
  });

  test.each([
    ["no credentials", {}, 401, "ENOKEY"],
    ["an unknown token", { authorization: "Bearer fazt_nope" }, 401, "EKEYREJECTED"],
    ["another scheme", { authorization: "Basic cm9vdDo=" }, 401, "EKEYREJECTED"],
  ])("%s is refused", async (_, headers, status, code) => {
    const response = await post("/sys/storage/status", {}, headers as Record<string, string>);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, call: "storage.status" } });
  });

  test("a scope that lacks the capability is 403", async () => {
    const response = await post("/sys/app/ls", {}, bearer());
    expect([response.status, await codeOf(response)]).toEqual([403, "EACCES"]);
  });

  test.each([
    ["GET of a call", "/sys/storage/status", { method: "GET" }, 405],
    ["an unknown call", "/sys/no/such", { method: "POST" }, 501],
    ["not JSON", "/sys/storage/status", { method: "POST", body: "{", headers: json }, 400],
    [
      "a form",
      "/sys/storage/status",
      { method: "POST", body: "a=1", headers: { "content-type": "text/plain" } },
      400,
    ],
  ])("%s is an error in JSON", async (_, path, init, status) => {
    const headers = { ...(init as { headers?: Record<string, string> }).headers, ...bearer() };
    const response = await send(path, { ...init, headers });
    expect(response.status).toBe(status);
    expect(await response.json()).toHaveProperty("error.code");
  });

  test("an input over the limit is 413 and is not read to its end", async () => {
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent++;
        controller.enqueue(new Uint8Array(1024 * 1024).fill(32));
      },
    });
    const response = await send("/sys/storage/status", {
      method: "POST",
      body,
      headers: { ...json, ...bearer() },
    });
    expect(response.status).toBe(413);
    expect(sent).toBeLessThan(16);
  });
});

test("of somebody without credentials nothing is read before the refusal", async () => {
  let sent = 0;
  const body = new ReadableStream({
    pull(to) {
      sent++;
      to.enqueue(new Uint8Array(1024));
    },
  });
  const refused = await send("/sys/storage/status", { method: "POST", body, headers: json });
  expect([refused.status, await codeOf(refused)]).toEqual([401, "ENOKEY"]);
  expect(sent).toBeLessThan(4);
  const wrong = await send("/sys/fs/write?input={", { method: "POST", body: "x" });
  expect([wrong.status, await codeOf(wrong)]).toEqual([401, "ENOKEY"]);
});

describe("sessions", () => {
  test("over TLS a page of this host that came without TLS is another site", async () => {
    const login = JSON.stringify({ password: testRootPass });
    const made = await send(
      "/sys/security/login",
      { method: "POST", body: login, headers: json },
      true,
    );
    const session = (made.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    const from = (page: string) => {
      const headers = { ...json, cookie: session, origin: page };
      return send("/sys/app/ls", { method: "POST", body: "{}", headers }, true);
    };
    expect((await from("https://os.localhost:8080")).status).toBe(200);
    const plain = await from(origin);
    expect([plain.status, await codeOf(plain)]).toEqual([403, "EACCES"]);
    expect((await from("null")).status).toBe(403);
  });

  test("a cookie of our own page may call, another site's may not", async () => {
    const session = await cookie();
    const mine = await post("/sys/app/ls", {}, { cookie: session, origin });
    expect(mine.status).toBe(200);
    const other = await post(
      "/sys/app/ls",
      {},
      { cookie: session, origin: "http://blog.localhost:8080" },
    );
    expect([other.status, await codeOf(other)]).toEqual([403, "EACCES"]);
    const bare = await post("/sys/app/ls", {}, { cookie: session });
    expect(bare.status).toBe(403);
  });

  test("logout ends the session and clears the cookie", async () => {
    const session = await cookie();
    const out = await post("/sys/security/logout", {}, { cookie: session, origin });
    expect(out.headers.get("set-cookie")).toContain("Expires=Thu, 01 Jan 1970");
    const after = await post("/sys/app/ls", {}, { cookie: session, origin });
    expect(after.status).toBe(401);
  });

  test("the cookie is HttpOnly and SameSite=Strict", async () => {
    const response = await post("/sys/security/login", { password: testRootPass });
    expect(response.headers.get("set-cookie")).toMatch(/HttpOnly; SameSite=Strict/);
  });
});

describe("documents", () => {
  test("health needs nothing and has the contract's keys", async () => {
    const response = await send("/sys/health");
    expect(response.status).toBe(200);
    const body = await bodyOf<{ status: string }>(response);
    expect(Object.keys(body).sort()).toEqual([
      ...["isolation", "mode", "status", "uptimeMs", "version"],
    ]);
    expect(body.status).toBe("ok");
  });

  test("the tree shows the same as files", async () => {
    const bytes = await kernel.call<{ stream: ReadableStream }>("fs.read", { path: "/sys/health" });
    const text = await new Response(bytes.stream).text();
    expect(text).toContain("status: ok\n");
    expect(text).toContain("version: 0.0.0-test\n");
  });

  test("every limit is listed, with the contract's values", async () => {
    const bytes = await kernel.call<{ stream: ReadableStream }>("fs.read", { path: "/sys/limits" });
    const lines = (await new Response(bytes.stream).text()).split("\n");
    expect(lines).toContain("storage.kvValueBytesMax: 1048576");
    expect(lines).toContain("fs.fileBytesMax: 104857600");
    expect(lines).toContain("proc.responseTimeoutMs: 30000");
    expect(lines).toContain("net.bodyBytesMax: 10485760");
    expect(lines).toContain("security.loginTriesMax: 5");
    expect(lines).toContain("driver.shipEveryMs: 550");
  });

  test("metrics need a scope, and end as OpenMetrics does", async () => {
    expect((await send("/sys/metrics")).status).toBe(401);
    const { token: other } = await kernel.kernel.security.tokens.add(localOwner("socket"), {
      name: "files",
      capabilities: ["fs:read"],
      ttlMs: null,
    });
    const refused = await send("/sys/metrics", { headers: { authorization: `Bearer ${other}` } });
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ error: { code: "EACCES" } });
    const { token: scoped } = await kernel.kernel.security.tokens.add(localOwner("socket"), {
      name: "metrics",
      capabilities: ["proc:read"],
      ttlMs: null,
    });
    const response = await send("/sys/metrics", { headers: { authorization: `Bearer ${scoped}` } });
    expect(await response.text()).toEndWith("# EOF\n");
  });
});
