/** Tests of users and tokens: their rights, their ends, their limits. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { anonymous, type Caller } from "../caller.ts";
import { isSecret, newSecret } from "./credential.ts";
import { atMachine, type Fixture, openFixture, refusal } from "./fixture.ts";
import { tokensMax, usersMax } from "./limits.ts";
import type { NewToken } from "./mod.ts";

let fixture: Fixture;
let setup: NewToken;
let scoped: NewToken;
beforeEach(async () => {
  fixture = openFixture();
  setup = await fixture.claim();
  scoped = await addToken(["security:*", "app:read"]);
});
afterEach(() => fixture.close());

const password = "kettle moss violin nine";
const addToken = (capabilities: string[], from: Caller = atMachine, ttlMs: number | null = null) =>
  fixture.security.tokens.add(from, { name: "ci", capabilities, ttlMs });
const addUser = (name: string, capabilities = ["app:read"], from: Caller = atMachine) =>
  fixture.security.users.add(from, { name, password, capabilities });

/** Rows as they would be after that many calls, written at once; `#` is the row's number. */
const fill = (count: number, into: { table: string; columns: string; values: string }) =>
  fixture.storage.write((tx) => {
    for (let i = 0; i < count; i++) {
      const values = into.values.replaceAll("#", String(i));
      tx.run(`INSERT INTO ${into.table} (${into.columns}) VALUES (${values})`);
    }
  });

describe("a token's secret", () => {
  test("is 256 random bits behind a prefix, with a checksum for typing errors", () => {
    expect(setup.token).toMatch(/^fazt_[0-9a-hjkmnp-tv-z]{60}$/);
    const secret = newSecret("token", new Uint8Array(32).fill(1));
    expect(isSecret("token", secret)).toBe(true);
    expect(isSecret("session", secret)).toBe(false);
    expect(isSecret("token", secret.replace("4", "5"))).toBe(false);
    expect(isSecret("token", `${secret}0`)).toBe(false);
  });
});

describe("a token", () => {
  test("holds what it was given, over a restart, and is listed without its secret", async () => {
    expect(fixture.caller(scoped.token)).toMatchObject({
      kind: "user",
      via: "token",
      userId: "root",
      grants: ["security:*", "app:read"],
      credentialId: scoped.id,
    });
    await fixture.restart();
    expect(fixture.caller(scoped.token).grants).toEqual(["security:*", "app:read"]);
    const listed = fixture.security.tokens.ls();
    expect(listed.map((token) => token.name)).toEqual(["setup", "ci"]);
    expect(JSON.stringify(listed)).not.toContain("fazt_");
  });

  test("ends when its time is over", async () => {
    const { token } = await addToken(["app:read"], atMachine, 60_000);
    fixture.pass(59_999);
    expect(fixture.caller(token).userId).toBe("root");
    fixture.pass(1);
    expect(fixture.security.authenticate({ kind: "token", secret: token }, null)).toBeNull();
    expect(fixture.security.tokens.ls()).toHaveLength(2);
  });

  test("ends at once when it is removed; ENOENT after that", async () => {
    expect(fixture.caller(scoped.token).kind).toBe("user");
    await fixture.security.tokens.rm(atMachine, scoped.id);
    const proof = { kind: "token", secret: scoped.token } as const;
    expect(fixture.security.authenticate(proof, null)).toBeNull();
    const again = () => fixture.security.tokens.rm(atMachine, scoped.id);
    expect(await refusal(again)).toBe("ENOENT");
  });

  test("tells when it was used last, to the minute", async () => {
    const lastUsed = async () => {
      await fixture.storage.write(() => undefined);
      return fixture.security.tokens.ls().find((token) => token.id === scoped.id)?.lastUsedAt;
    };
    expect(await lastUsed()).toBeNull();
    const first = fixture.machine.now();
    fixture.caller(scoped.token);
    fixture.pass(59_999);
    fixture.caller(scoped.token);
    expect(await lastUsed()).toBe(first);
    fixture.pass(1);
    fixture.caller(scoped.token);
    expect(await lastUsed()).toBe(first + 60_000);
  });

  test("never has more rights than who made it: EPERM; nor removes who has: EPERM", async () => {
    const from = fixture.caller(scoped.token);
    for (const beyond of ["*", "app:*", "app:deploy", "fs:read"]) {
      expect(await refusal(() => addToken([beyond], from))).toBe("EPERM");
    }
    const child = await addToken(["security:read", "app:read"], from);
    expect(child.capabilities).toEqual(["security:read", "app:read"]);
    expect(await refusal(() => fixture.security.tokens.rm(from, setup.id))).toBe("EPERM");
    expect(await refusal(() => fixture.security.tokens.rm(from, child.id))).toBeNull();
  });

  test("is made by users only: EPERM for apps and strangers", async () => {
    const app: Caller = { ...atMachine, kind: "app", via: "app", userId: null, appId: "app_1" };
    const gone: Caller = { ...atMachine, userId: "usr_gone" };
    for (const from of [app, { ...app, userId: "root" }, anonymous(null), gone]) {
      expect(await refusal(() => addToken(["app:read"], from))).toBe("EPERM");
    }
  });

  test("needs a name, capabilities of their shape and a life that ends in time: EINVAL", async () => {
    const bad = [[], ["app"], ["app:"], [":read"], ["app:read:all"], ["App:read"], ["public"]];
    for (const capabilities of [...bad, Array.from({ length: 65 }, (_, i) => `a:b${i}`)]) {
      expect(await refusal(() => addToken(capabilities))).toBe("EINVAL");
    }
    for (const ttlMs of [0, -1, 1.5, Number.NaN, 4e14]) {
      expect(await refusal(() => addToken(["app:read"], atMachine, ttlMs))).toBe("EINVAL");
    }
    for (const name of ["", "  ", "a\nb", "x".repeat(65)]) {
      const token = { name, capabilities: ["app:read"], ttlMs: null };
      expect(await refusal(() => fixture.security.tokens.add(atMachine, token))).toBe("EINVAL");
    }
  });

  test("is one of a thousand at most: EDQUOT", async () => {
    const columns = "id, kind, hash, user_id, name, capabilities, created_at";
    const values = "'tok_#', 'token', '#', 'root', 'n', '[]', 0";
    await fill(tokensMax - 2, { table: "security_credential", columns, values });
    expect(await refusal(() => addToken(["app:read"]))).toBe("EDQUOT");
  });
});

describe("a user", () => {
  test("logs in with the rights they were given, over a restart", async () => {
    const ada = await addUser("ada", ["app:read", "app:read", "fs:*"]);
    expect(ada.capabilities).toEqual(["app:read", "fs:*"]);
    await fixture.restart();
    const { session, user } = await fixture.security.login({ user: " Ada ", password }, null);
    expect(user).toEqual(ada);
    const caller = fixture.security.authenticate({ kind: "session", secret: session }, null);
    expect(caller).toMatchObject({ kind: "user", userId: ada.id, grants: ["app:read", "fs:*"] });
    expect(fixture.security.users.ls().map((one) => one.name)).toEqual(["root", "ada"]);
  });

  test("ends with all tokens and sessions; ENOENT after that", async () => {
    await addUser("ada", ["security:write"]);
    const { session } = await fixture.security.login({ user: "ada", password }, null);
    const proof = { kind: "session", secret: session } as const;
    const ada = fixture.security.authenticate(proof, null) ?? atMachine;
    const { token } = await addToken(["security:write"], ada);
    expect(fixture.caller(token).userId).toBe(ada.userId);
    await fixture.security.users.rm(atMachine, "ada");
    expect(fixture.security.authenticate(proof, null)).toBeNull();
    expect(fixture.security.authenticate({ kind: "token", secret: token }, null)).toBeNull();
    const back = () => fixture.security.login({ user: "ada", password }, null);
    expect(await refusal(back)).toBe("EKEYREJECTED");
    expect(await refusal(() => fixture.security.users.rm(atMachine, "ada"))).toBe("ENOENT");
  });

  test("has a name nobody has: EEXIST, also of two at once", async () => {
    expect(await refusal(() => addUser("root"))).toBe("EEXIST");
    const both = [refusal(() => addUser("ada")), refusal(() => addUser("ada"))];
    expect((await Promise.all(both)).toSorted()).toEqual(["EEXIST", null]);
  });

  test("needs a name, a password and capabilities: EINVAL", async () => {
    for (const name of ["", "a", "Ada", "1ada", "a b", "a/b", "x".repeat(33)]) {
      expect(await refusal(() => addUser(name))).toBe("EINVAL");
    }
    expect(await refusal(() => addUser("ada", ["app"]))).toBe("EINVAL");
    const weak = { name: "lovelace", password: "lovelace123", capabilities: ["app:read"] };
    expect(await refusal(() => fixture.security.users.add(atMachine, weak))).toBe("EINVAL");
  });

  test("never has more rights than who added them, and root stays: EPERM", async () => {
    const from = fixture.caller(scoped.token);
    expect(await refusal(() => addUser("ada", ["*"], from))).toBe("EPERM");
    await addUser("ada", ["fs:write"]);
    expect(await refusal(() => fixture.security.users.rm(from, "ada"))).toBe("EPERM");
    expect(await refusal(() => fixture.security.users.rm(atMachine, "root"))).toBe("EPERM");
  });

  test("is one of a hundred at most: EDQUOT", async () => {
    const columns = "id, name, password_hash, capabilities, created_at";
    const values = "'usr_#', 'u#', '', '[]', 0";
    await fill(usersMax - 1, { table: "security_user", columns, values });
    expect(await refusal(() => addUser("ada"))).toBe("EDQUOT");
  });
});

test("gc forgets what is over", async () => {
  const { token } = await addToken(["app:read"], atMachine, 1000);
  await fixture.security.login({ token }, null);
  fixture.pass(1000);
  const report = (await fixture.storage.gc()).find((one) => one.name === "security");
  expect(report).toMatchObject({ rows: 2 });
  expect(fixture.storage.read.all("SELECT id FROM security_credential")).toHaveLength(2);
});
