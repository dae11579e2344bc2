/** Who has no credentials, or those of something else, gets nothing: every call, every endpoint. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kebab } from "../../kernel/call.ts";
import { flatten, table } from "../../kernel/syscall/mod.ts";
import { testRootPass } from "../kernel.ts";
import { type KernelProcess, startProcess } from "../process.ts";

const calls = [...flatten(table)];
const guarded = calls.filter(([, call]) => call.needs !== "public");
const open = calls.filter(([, call]) => call.needs === "public").map(([name]) => name);

let machine: KernelProcess;
beforeAll(async () => {
  machine = await startProcess();
  const dir = machine.scratch("site");
  writeFileSync(join(dir, "index.html"), "one");
  await machine.faztJson("app", "deploy", dir);
});
afterAll(() => machine[Symbol.asyncDispose]());

type Headers = Record<string, string>;

const pathOf = (name: string) => `/sys/${name.split(".").map(kebab).join("/")}`;

/** Makes a call with the input of its first example; answers status and errno. */
async function attempt(name: string, headers: Headers, host = "os") {
  const call = flatten(table).get(name);
  const input = JSON.stringify(call?.examples[0]?.input ?? {});
  const upload = call?.upload ?? false;
  const query = upload ? `?input=${encodeURIComponent(input)}` : "";
  const response = await machine.fetch(host, pathOf(name) + query, {
    method: "POST",
    headers,
    body: upload ? "bytes" : input,
  });
  const text = await response.text();
  const code = /"error":\{"code":"(E[A-Z]+)"/.exec(text)?.[1] ?? null;
  return { status: response.status, code, text };
}

const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });

/** Everything that a caller could have changed. */
const state = async () => ({
  apps: await machine.call<object[]>("app.ls"),
  users: await machine.call<object[]>("security.user.ls"),
  routes: await machine.call<object[]>("net.route.ls"),
  home: await machine.call<object[]>("fs.ls", { path: "/home" }),
});

test("the public calls are these and no more", () => {
  expect(open).toEqual([
    "security.claim",
    "security.login",
    "security.logout",
    "security.whoami",
    "driver.replica.restoreMachine",
  ]);
  expect(guarded.length).toBeGreaterThan(40);
});

describe("no credentials", () => {
  test("every call that needs a capability is ENOKEY, 401, and changes nothing", async () => {
    const before = await state();
    const letIn: string[] = [];
    for (const [name] of guarded) {
      const { status, code } = await attempt(name, {});
      if (status !== 401 || code !== "ENOKEY") letIn.push(`${name}: ${status} ${code}`);
    }
    expect(letIn).toEqual([]);
    expect(await state()).toEqual(before);
  });

  test("whoami, login and claim let nobody in either", async () => {
    expect(await attempt("security.whoami", {})).toMatchObject({ status: 401, code: "ENOKEY" });
    const login = await machine.fetch("os", pathOf("security.login"), {
      method: "POST",
      body: JSON.stringify({ password: "not the password" }),
    });
    expect(login.status).toBe(401);
    expect(login.headers.get("set-cookie")).toBeNull();
    expect(await attempt("security.claim", {})).toMatchObject({ status: 409, code: "EEXIST" });
  });

  test("of the documents only health, version and the API's description are open", async () => {
    const get = async (path: string) => (await machine.fetch("os", path)).status;
    expect(await get("/sys/health")).toBe(200);
    expect(await get("/sys/version")).toBe(200);
    expect(await get("/sys/openapi.json")).toBe(200);
    expect(await get("/sys/metrics")).toBe(401);
    expect(await get("/sys/none")).toBe(501);
  });

  test("the shell shows nothing of the machine: no app, no log, no user", async () => {
    for (const path of ["/", "/apps", "/apps/site", "/app/site", "/logs", "/settings"]) {
      const response = await machine.fetch("os", path);
      const text = await response.text();
      expect(text).not.toContain("site.localhost");
      expect(text).not.toContain("owner@example.com");
    }
  });

  test("an unknown host is told nothing, and no app's host answers for the system", async () => {
    const nobody = await machine.fetch("none", "/");
    expect(nobody.status).toBe(421);
    expect(await nobody.text()).not.toContain("site");
    const through = await attempt("app.ls", bearer(machine.token), "site");
    expect(through.status).not.toBe(200);
    expect(through.text).not.toContain("rel_");
    const raw = await fetch(`${machine.ready.http}/sys/app/ls`, {
      method: "POST",
      headers: { ...bearer(machine.token), host: "evil.example" },
      body: "{}",
    });
    expect(raw.status).toBe(421);
  });

  test("GET never makes a call", async () => {
    for (const [name] of calls) {
      const response = await machine.fetch("os", pathOf(name), {
        headers: bearer(machine.token),
      });
      await response.body?.cancel();
      expect(`${name} ${response.status}`).toBe(`${name} 405`);
    }
  });
});

describe("credentials that are no good", () => {
  test.each(["fazt_none", "x", `fazt_${"a".repeat(43)}`, machineLike()])(
    "the token %s is EKEYREJECTED",
    async (token) => {
      for (const name of ["app.ls", "security.whoami", "fs.read", "app.rm"]) {
        expect(await attempt(name, bearer(token))).toMatchObject({
          status: 401,
          code: "EKEYREJECTED",
        });
      }
    },
  );

  test("other schemes are refused, not ignored", async () => {
    for (const authorization of ["Basic cm9vdDpyb290", "Bearer", "bearer  ", "Token x"]) {
      expect(await attempt("app.ls", { authorization })).toMatchObject({ status: 401 });
    }
  });

  test("a token that was removed, or has expired, is no good any more", async () => {
    const add = (ttlMs: number) =>
      machine.call<{ id: string; token: string }>("security.token.add", {
        name: "short",
        capabilities: ["app:read"],
        ttlMs,
      });
    const { id, token } = await add(60_000);
    expect(await attempt("app.ls", bearer(token))).toMatchObject({ status: 200 });
    await machine.call("security.token.rm", { id });
    expect(await attempt("app.ls", bearer(token))).toMatchObject({ code: "EKEYREJECTED" });
    const { token: brief } = await add(1);
    expect(await attempt("app.ls", bearer(brief))).toMatchObject({ code: "EKEYREJECTED" });
  });
});

/** A secret of the right shape. */
function machineLike(): string {
  return `fazt_${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url")}`;
}

describe("credentials for something else", () => {
  test("every call refuses a token of all the other domains: EACCES, 403", async () => {
    const domains = [
      ...new Set(guarded.map(([, { needs }]) => needs.slice(0, needs.indexOf(":")))),
    ];
    const tokens = new Map<string, string>();
    for (const domain of domains) {
      const capabilities = domains.filter((other) => other !== domain).map((other) => `${other}:*`);
      const made = await machine.call<{ token: string }>("security.token.add", {
        name: `not-${domain}`,
        capabilities,
      });
      tokens.set(domain, made.token);
    }
    const before = await state();
    const letIn: string[] = [];
    for (const [name, call] of guarded) {
      const domain = call.needs.slice(0, call.needs.indexOf(":"));
      const { status, code } = await attempt(name, bearer(tokens.get(domain) ?? ""));
      if (status !== 403 || code !== "EACCES") letIn.push(`${name}: ${status} ${code}`);
    }
    expect(letIn).toEqual([]);
    expect(await state()).toEqual(before);
  });

  test("reading does not let one write: every change refuses a token that may only read", async () => {
    const { token } = await machine.call<{ token: string }>("security.token.add", {
      name: "reader",
      capabilities: [
        "proc:read",
        "app:read",
        "fs:read",
        "net:read",
        "storage:read",
        "security:read",
      ],
    });
    const before = await state();
    const letIn: string[] = [];
    for (const [name, call] of guarded.filter(([, one]) => one.effect !== "read")) {
      const { status, code } = await attempt(name, bearer(token));
      if (status !== 403 || code !== "EACCES") letIn.push(`${name}: ${call.needs} ${status}`);
    }
    expect(letIn).toEqual([]);
    expect(await state()).toEqual(before);
  });
});

describe("a session", () => {
  const login = async () => {
    const response = await machine.fetch("os", "/sys/security/login", {
      method: "POST",
      body: JSON.stringify({ password: testRootPass }),
    });
    expect(response.status).toBe(200);
    expect(await response.text()).not.toContain('"session"');
    return response.headers.get("set-cookie") ?? "";
  };

  test("is a cookie no script reads, of this site alone", async () => {
    const cookie = await login();
    expect(cookie).toMatch(/HttpOnly/i);
    expect(cookie).toMatch(/SameSite=Strict/i);
    expect(cookie).not.toMatch(/Domain=/i);
  });

  test("is of no use to another site's page, nor after its logout", async () => {
    const cookie = (await login()).split(";")[0] ?? "";
    const own = { cookie, origin: `http://os.localhost:${machine.port}` };
    expect(await attempt("app.ls", own)).toMatchObject({ status: 200 });
    for (const origin of [
      "http://evil.example",
      `http://site.localhost:${machine.port}`,
      "null",
      "http://os.localhost:1",
    ]) {
      expect(await attempt("app.ls", { cookie, origin })).toMatchObject({ code: "EACCES" });
    }
    expect(await attempt("security.logout", own)).toMatchObject({ status: 200 });
    expect(await attempt("app.ls", own)).toMatchObject({ code: "ENOKEY" });
  });
});

test("the control socket and all data are the owner's alone", () => {
  const mode = (path: string) => statSync(join(machine.dataDir, path)).mode & 0o777;
  expect(mode(".")).toBe(0o700);
  expect(mode("run")).toBe(0o700);
  expect(mode("volumes")).toBe(0o700);
  expect(mode("run/fazt.sock")).toBe(0o600);
  for (const file of ["data.db", "logs.db", "machine.key", "run/lock.db", "run/fazt.pid"]) {
    expect(`${file} ${mode(file).toString(8)}`).toBe(`${file} 600`);
  }
});

test("an unclaimed machine answers nothing but its wizard, health and the claim", async () => {
  await using fresh = await startProcess({ claimed: false });
  const post = async (name: string) => {
    const response = await fetch(fresh.ready.http + pathOf(name), { method: "POST", body: "{}" });
    return { status: response.status, text: await response.text() };
  };
  for (const [name] of guarded) {
    const { status } = await post(name);
    expect(`${name} ${status}`).toBe(`${name} 403`);
  }
  expect((await fetch(`${fresh.ready.http}/sys/health`)).status).toBe(200);
  expect((await fetch(`${fresh.ready.http}/sys/metrics`)).status).toBe(401);
  const { setupCode } = fresh.ready;
  const wizard = await (await fetch(`${fresh.ready.http}/`)).text();
  expect(wizard).not.toContain(setupCode ?? "none");
});
