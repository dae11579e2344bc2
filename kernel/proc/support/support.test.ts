/** Secrets planted everywhere are in no bundle; what helps is. */
import { expect, test } from "bun:test";
import { deployed, okServer } from "../../../tests/deployed.ts";
import { testKernel, testRootPass } from "../../../tests/kernel.ts";
import type { Bytes } from "../../call.ts";
import { redactor } from "./mod.ts";

const about = { app: "kernel", appId: null, releaseId: null };

test("the bundle has what helps, and none of the secrets that were planted", async () => {
  await using k = await testKernel();
  const app = await deployed(k, "shop", {
    files: { "server.js": okServer },
    manifest: { server: "server.js" },
  });
  const planted = {
    env: "hunter2-env-secret",
    plain: "plainvaluetoo",
    session: "",
    token: "",
    replica: "s3-Secret-Key-9f8e7d6c5b4a",
    logged: "swordfish-in-the-log",
    bare: "a password that an app printed",
    pem: "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
    url: "urlpass99",
  };
  await k.call("app.env.set", { app: "shop", name: "KEY", secret: planted.env });
  await k.call("app.env.set", { app: "shop", name: "MODE", value: planted.plain });
  const made = await k.call<{ token: string }>("security.token.add", {
    ...{ name: "ci", capabilities: ["*"] },
  });
  planted.token = made.token;
  const login = await k.call<{ session: string }>("security.login", { password: testRootPass });
  planted.session = login.session;
  const say = (text: string, of: object = about) =>
    k.kernel.storage.logs.append({ ...about, ...of, level: "error", text });
  say(`tls: -----BEGIN PRIVATE KEY-----\n${planted.pem}\n-----END PRIVATE KEY-----`);
  say(`shop failed with ${planted.env} and ${planted.plain}`);
  say(`login with password=${planted.logged}`);
  say(`{"secret": "${planted.replica}"}`);
  say(`fetching https://me:${planted.url}@example.com/?token=${planted.logged}`);
  say(`authorization: Bearer ${planted.token}, cookie: fazt=${planted.session}`);
  say(planted.bare, { app: "shop", appId: app.id });
  say("a plain line that helps");

  const { stream } = await k.call<Bytes>("proc.support");
  const text = await new Response(stream).text();
  const asked = k.kernel.security.audit.ls({ limit: 10, before: null, call: "proc.support" });
  expect(asked).toMatchObject([{ outcome: "ok", callerKind: "owner", via: "socket" }]);
  for (const [name, secret] of Object.entries({ ...planted, root: testRootPass })) {
    expect([name, text.includes(secret)]).toEqual([name, false]);
  }
  const bundle = JSON.parse(text);
  expect(bundle.machine.version).toBe("0.0.0-test");
  expect(bundle.apps).toMatchObject([{ name: "shop", variables: 2 }]);
  expect(bundle.tables.app_app).toBeGreaterThan(0);
  expect(bundle.limits.length).toBeGreaterThan(100);
  expect(bundle.log.join("\n")).toContain("a plain line that helps");
  expect(bundle.program).toMatchObject({ active: "base" });
  for (const part of Object.values(bundle)) expect(part).not.toBe("it took too long to find out");
  expect(text).not.toContain("it cannot be told");
}, 60_000);

test("what looks like a secret goes, what only helps stays", () => {
  const redact = redactor(["opensesame"]) as (text: string) => string;
  const gone = [
    "say opensesame now",
    "password: correcthorse",
    'DB_PASSWORD="correct horse"',
    "the api_key=abc123",
    "x-api-key: abc123",
    "Authorization: Basic dXNlcjpwYXNz",
    "postgres://user:correcthorse@db/one",
    "https://example.com/hook?sig=correcthorse",
    "Set-Cookie: id=correcthorse; Path=/",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AGE-SECRET-KEY-1QQPQZRFLX",
    "me@example.com",
  ];
  for (const text of gone) {
    const left = redact(text);
    expect([text, left === text]).toEqual([text, false]);
    expect(left).not.toMatch(/opensesame|horse|abc123|dXNl|EXAMPLE|eyJ|QQPQ|me@/);
  }
  const kept = [
    "cannot listen on 127.0.0.1:8080: the address is in use",
    "app_01jd2m8q3v5x7z9b1d3f5h7k9m release 3",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "/var/lib/fazt/volumes/app_01jd2m8q3v5x7z9b1d3f5h7k9m/app.db",
    "https://releases.example.com/stable-x64.json",
  ];
  for (const text of kept) expect(redact(text)).toBe(text);
  expect(redactor([])({ keyId: "x1", rootPass: "y", name: "blog", n: 5 })).toEqual({
    ...{ keyId: "[removed]", rootPass: "[removed]", name: "blog", n: 5 },
  });
});
