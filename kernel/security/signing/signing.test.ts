/** What an app signs is good for that app, for a time, and unchanged; its secrets are its own. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { clock } from "../../../tests/clock.ts";
import { deployed } from "../../../tests/deployed.ts";
import { type TestKernel, testKernel } from "../../../tests/kernel.ts";
import { keptMs, rotateMs, ttlMsMax } from "./limits.ts";

const meta = { id: "req_1", address: null, userId: null, upgrade: null };
const time = clock();
let k: TestKernel;
beforeAll(async () => {
  k = await testKernel({ machine: time.machine });
});
afterAll(() => k[Symbol.asyncDispose]());

const signing = () => k.kernel.security.signing;
const minuteMs = 60_000;
const ada = { claims: { sub: "ada", roles: ["editor"] }, ttlMs: minuteMs };
const keyOf = (token: string): unknown =>
  JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString());

describe("a token", () => {
  test("says to its own app what was signed, and to no other app anything", async () => {
    const { token, expiresAt } = await signing().sign("app_one", ada);
    const verified = signing().verify("app_one", token);
    expect(verified?.claims).toEqual(ada.claims);
    expect(verified?.expiresAt).toBe(expiresAt);
    expect(signing().verify("app_two", token)).toBeNull();
    await signing().sign("app_two", ada);
    expect(signing().verify("app_two", token)).toBeNull();
    expect(keyOf(token)).toMatchObject({ alg: "EdDSA", typ: "JWT" });
  });

  test("ends when its time is over", async () => {
    const { token } = await signing().sign("app_one", ada);
    time.pass(minuteMs - 1000);
    expect(signing().verify("app_one", token)).not.toBeNull();
    time.pass(3000);
    expect(signing().verify("app_one", token)).toBeNull();
  });

  test("that was changed anywhere is none", async () => {
    const { token } = await signing().sign("app_one", ada);
    const parts = token.split(".");
    const other = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const header = keyOf(token) as Record<string, unknown>;
    const root = other({ sub: "root", iss: "app_one", iat: 0, exp: 1e12 });
    const bad = [
      [other({ ...header, alg: "none" }), parts[1], ""],
      [other({ ...header, alg: "HS256" }), parts[1], parts[2]],
      [other({ ...header, kid: "key_none" }), parts[1], parts[2]],
      [parts[0], root, parts[2]],
      [parts[0], parts[1], ""],
      [parts[0], parts[1], `${parts[2]}=`],
      [parts[0], parts[1], `${parts[2]}\n`],
      [...parts, "more"],
      [parts[0], parts[1]],
      ["", "", ""],
    ];
    for (const one of bad) expect(signing().verify("app_one", one.join("."))).toBeNull();
    for (let at = 0; at < token.length; at++) {
      const sign = token[at] === "A" ? "B" : "A";
      const changed = token.slice(0, at) + sign + token.slice(at + 1);
      expect(signing().verify("app_one", changed)).toBeNull();
    }
    expect(signing().verify("app_one", token)).not.toBeNull();
  });

  test("cannot say what the kernel says", async () => {
    for (const name of ["iss", "iat", "exp", "nbf"]) {
      const call = signing().sign("app_one", { claims: { [name]: 1 }, ttlMs: minuteMs });
      expect(await call.catch((error) => error.code)).toBe("EINVAL");
    }
  });
});

describe("a key", () => {
  test("is followed by another one, and kept while anything it signed may be good", async () => {
    const long = { claims: { sub: "ada" }, ttlMs: ttlMsMax };
    const first = await signing().sign("app_three", long);
    time.pass(rotateMs - minuteMs);
    const last = await signing().sign("app_three", long);
    expect(keyOf(last.token)).toEqual(keyOf(first.token));
    time.pass(2 * minuteMs);
    const second = await signing().sign("app_three", long);
    expect(keyOf(second.token)).not.toEqual(keyOf(last.token));
    expect(signing().verify("app_three", last.token)?.claims).toEqual({ sub: "ada" });
    time.pass(keptMs);
    await signing().sign("app_three", long);
    const sql = "SELECT count(*) AS n FROM security_app_key WHERE app_id = 'app_three'";
    expect(k.kernel.storage.read.get<{ n: number }>(sql)).toEqual({ n: 1 });
  });

  test("is one, however many begin to sign at once", async () => {
    const many = Array.from({ length: 20 }, () => signing().sign("app_four", ada));
    const keys = (await Promise.all(many)).map(({ token }) => JSON.stringify(keyOf(token)));
    expect(new Set(keys).size).toBe(1);
  });

  test("goes with its app", async () => {
    const app = await deployed(k, "leaving", { files: { "public/index.html": "x" } });
    const { token } = await signing().sign(app.id, ada);
    await k.call("app.rm", { app: "leaving", purge: true });
    expect(signing().verify(app.id, token)).toBeNull();
  });
});

const server = `import { kernel } from "fazt";
const said = (work) => work.catch((error) => error.code);
export default { async fetch(request) {
  const { pathname, searchParams } = new URL(request.url);
  const token = searchParams.get("token");
  if (pathname === "/sign") return Response.json(await kernel.security.sign({ claims: { sub: "ada" } }));
  if (pathname === "/user") return Response.json(await kernel.security.user({ token }));
  if (pathname === "/verify") return Response.json(await said(kernel.security.verify({ token })));
  if (pathname === "/owners") return Response.json(await said(kernel.security.user.ls({})));
  const name = searchParams.get("name");
  return Response.json([await said(kernel.security.secret({ name })), process.env[name] ?? null]);
} };`;

test("an app in its process knows its users again, and reads what it asked for", async () => {
  const manifest = { server: "server.js", permissions: ["secret:MAIL"] };
  for (const name of ["signs", "envies"]) {
    await deployed(k, name, { files: { "server.js": server }, manifest });
  }
  await k.call("app.env.set", { app: "signs", name: "OTHER", secret: "in the environment" });
  await deployed(k, "signs", { files: { "server.js": server }, manifest });
  const ask = async <T>(app: string, path: string): Promise<T> => {
    const request = new Request(`http://${app}.localhost${path}`);
    return (await (await k.kernel.proc.fetch(k.kernel.app.get(app), request, meta)).json()) as T;
  };
  const { token } = await ask<{ token: string }>("signs", "/sign");
  expect(await ask<unknown>("signs", `/user?token=${token}`)).toMatchObject({ id: "ada" });
  expect(await ask<unknown>("signs", "/user")).toBeNull();
  expect(await ask<unknown>("envies", `/user?token=${token}`)).toBeNull();
  expect(await ask<unknown>("envies", `/verify?token=${token}`)).toBe("EKEYREJECTED");
  expect(await ask<unknown>("signs", "/owners")).toBe("EPERM");

  // Its process runs already.
  await k.call("app.env.set", { app: "signs", name: "MAIL", secret: "first" });
  expect(await ask<unknown>("signs", "/?name=MAIL")).toEqual([{ value: "first" }, null]);
  expect(await ask<unknown>("signs", "/?name=OTHER")).toEqual(["EACCES", "in the environment"]);
  expect(await ask<unknown>("envies", "/?name=MAIL")).toEqual(["ENOENT", null]);
});
