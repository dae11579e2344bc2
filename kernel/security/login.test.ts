/** Tests of logging in: sessions, slowing, nothing told to guessers, the root password. */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { atMachine, type Fixture, openFixture, refusal, rootPass, stranger } from "./fixture.ts";
import { sessionIdleMs, sessionLifeMs, sessionsPerUserMax } from "./limits.ts";
import type { NewToken } from "./mod.ts";

let fixture: Fixture;
let setup: NewToken;
beforeEach(async () => {
  fixture = openFixture();
  setup = await fixture.claim();
});
afterEach(() => fixture.close());

const home = "192.0.2.10";
const bad = { user: "root", password: "not the password" };
const login = (address = home, password = rootPass, user = "root") =>
  fixture.security.login({ user, password }, address);
const holder = (secret: string) => fixture.security.authenticate({ kind: "session", secret }, home);

describe("a session", () => {
  test("is had with name and password, and proves its user", async () => {
    const { session, user, expiresAt } = await login();
    expect(user).toMatchObject({ id: "root", name: "root", capabilities: ["*"] });
    expect(expiresAt).toBe(fixture.machine.now() + sessionLifeMs);
    expect(holder(session)).toMatchObject({
      kind: "owner",
      via: "session",
      userId: "root",
      grants: ["*"],
      address: home,
    });
    expect(fixture.security.authenticate({ kind: "token", secret: session }, home)).toBeNull();
    await fixture.restart();
    expect(holder(session)?.kind).toBe("owner");
  });

  test("is stored hashed only", async () => {
    const { session } = await login();
    const rows = fixture.storage.read.all("SELECT * FROM security_credential");
    expect(JSON.stringify(rows)).not.toContain(session.slice(6, 40));
    expect(JSON.stringify(rows)).not.toContain(setup.token.slice(5, 40));
  });

  test("is over when it is idle, when its time is up, and at logout", async () => {
    const idle = await login();
    fixture.pass(sessionIdleMs - 1);
    expect(holder(idle.session)).not.toBeNull();
    fixture.pass(sessionIdleMs);
    expect(holder(idle.session)).toBeNull();
    const used = await login();
    for (let passed = 0; passed < sessionLifeMs; passed += sessionIdleMs / 2) {
      expect(holder(used.session)).not.toBeNull();
      fixture.pass(sessionIdleMs / 2);
    }
    expect(holder(used.session)).toBeNull();
    const left = await login();
    await fixture.security.logout(left.session);
    expect(holder(left.session)).toBeNull();
    await fixture.security.logout(left.session);
  });

  test("stays alive over a restart by its use", async () => {
    const { session } = await login();
    fixture.pass(sessionIdleMs - 1);
    expect(holder(session)).not.toBeNull();
    await fixture.restart();
    fixture.pass(sessionIdleMs - 1);
    expect(holder(session)).not.toBeNull();
  });

  test("is one of at most fifty: the oldest ends", async () => {
    const first = await fixture.security.login({ token: setup.token }, home);
    expect(holder(first.session)).not.toBeNull();
    for (let i = 0; i < sessionsPerUserMax; i++) {
      await fixture.security.login({ token: setup.token }, home);
    }
    expect(holder(first.session)).toBeNull();
  });

  test("nobody's secret proves anything", () => {
    for (const secret of ["", "fazts_", "x".repeat(66), `fazts_${"0".repeat(60)}`, setup.token]) {
      expect(holder(secret)).toBeNull();
    }
  });
});

describe("a login by token", () => {
  test("has the token's rights and no longer life, and ends with it", async () => {
    const token = await fixture.security.tokens.add(fixture.caller(setup.token), {
      name: "phone",
      capabilities: ["app:read"],
      ttlMs: 60_000,
    });
    const { session, expiresAt, user } = await fixture.security.login({ token: token.token }, home);
    expect(expiresAt).toBe(token.expiresAt ?? 0);
    expect(user.capabilities).toEqual(["app:read"]);
    expect(holder(session)).toMatchObject({ kind: "user", userId: "root", grants: ["app:read"] });
    await fixture.security.tokens.rm(atMachine, token.id);
    expect(holder(session)).toBeNull();
    const again = () => fixture.security.login({ token: token.token }, home);
    expect(await refusal(again)).toBe("EKEYREJECTED");
  });

  test("or by password: exactly one of them, else EINVAL", async () => {
    const both = { token: setup.token, password: rootPass };
    for (const who of [{}, { user: "root" }, both]) {
      expect(await refusal(() => fixture.security.login(who, home))).toBe("EINVAL");
    }
  });
});

describe("a wrong login", () => {
  test("tells nothing: same errno, words and work whether the name exists or not", async () => {
    const verify = spyOn(Bun.password, "verify");
    verify.mockClear();
    const told: unknown[] = [];
    for (const user of ["root", "nobody", "", "x".repeat(500)]) {
      const error = await login(home, "not the password", user).catch((refused) => refused);
      told.push([error.code, error.message, error.hint, error.retryAfterMs]);
    }
    expect(new Set(told.map((each) => JSON.stringify(each))).size).toBe(1);
    const work = verify.mock.calls.map((call) => String(call[1]).split("$").slice(1, 4).join("$"));
    expect(work).toEqual(Array(4).fill("argon2id$v=19$m=19456,t=2,p=1"));
    verify.mockRestore();
  });

  test("may be made five times a minute from an address, also all at once", async () => {
    const tries = Array.from({ length: 9 }, () => refusal(() => fixture.security.login(bad, home)));
    const answers = await Promise.all(tries);
    expect(answers.filter((code) => code === "EKEYREJECTED")).toHaveLength(5);
    expect(answers.filter((code) => code === "EAGAIN")).toHaveLength(4);
    fixture.pass(59_000);
    const soon = fixture.security.login({ token: setup.token }, home);
    await expect(soon).rejects.toMatchObject({ code: "EAGAIN", retryAfterMs: 1000 });
    fixture.pass(1000);
    expect(await refusal(() => login())).toBeNull();
  });

  test("is not undone by a right one from the same address", async () => {
    for (let i = 0; i < 4; i++) await refusal(() => fixture.security.login(bad, home));
    await fixture.security.login({ token: setup.token }, home);
    expect(await refusal(() => fixture.security.login(bad, home))).toBe("EKEYREJECTED");
    expect(await refusal(() => fixture.security.login(bad, home))).toBe("EAGAIN");
  });

  test.each(["root", "nobody"])("from many addresses slows the account %p", async (user) => {
    const guess = (i: number) => refusal(() => login(`198.51.100.${i}`, "not the password", user));
    for (let i = 0; i < 6; i++) expect(await guess(i)).toBe("EKEYREJECTED");
    expect(await guess(6)).toBe("EAGAIN");
    fixture.pass(1000);
    expect(await guess(7)).toBe("EKEYREJECTED");
    fixture.pass(1999);
    expect(await guess(8)).toBe("EAGAIN");
  });

  test("that was not even judged uses up no try of its address", async () => {
    for (let i = 0; i < 6; i++) {
      await refusal(() => login(`198.51.100.${i}`, "not the password"));
    }
    for (let i = 0; i < 6; i++) expect(await refusal(() => login())).toBe("EAGAIN");
    fixture.pass(1000);
    expect(await refusal(() => login())).toBeNull();
  });

  test("of others never keeps the owner out where they are logged in, nor for ever", async () => {
    await login();
    for (let i = 0; i < 20; i++) {
      await refusal(() => login(`198.51.100.${i}`, "not the password"));
      fixture.pass(60_000);
    }
    await refusal(() => login("198.51.100.99", "not the password"));
    expect(await refusal(() => login("203.0.113.1"))).toBe("EAGAIN");
    expect(await refusal(() => login())).toBeNull();
    await refusal(() => login("198.51.100.98", "not the password"));
    fixture.pass(60_000);
    expect(await refusal(() => login("203.0.113.1"))).toBeNull();
  });
});

describe("the root password", () => {
  const next = "kettle moss violin nine";

  test("changes at the machine, and ends root's sessions but not tokens", async () => {
    const { session } = await login();
    await fixture.security.rootPass(atMachine, { password: next, current: null });
    expect(holder(session)).toBeNull();
    expect(fixture.caller(setup.token).kind).toBe("owner");
    expect(await refusal(() => login())).toBe("EKEYREJECTED");
    expect(await refusal(() => login(home, next))).toBeNull();
    await fixture.restart();
    expect(await refusal(() => login(home, next))).toBeNull();
  });

  test("away from it wants the current one, and keeps the caller's own session", async () => {
    const mine = await login();
    const other = await login();
    const from = holder(mine.session) ?? atMachine;
    const change = (current: string | null) =>
      refusal(() => fixture.security.rootPass(from, { password: next, current }));
    expect(await change(null)).toBe("EKEYREJECTED");
    expect(await change("not the password")).toBe("EKEYREJECTED");
    expect(holder(other.session)).not.toBeNull();
    expect(await change(rootPass)).toBeNull();
    expect(holder(mine.session)).not.toBeNull();
    expect(holder(other.session)).toBeNull();
  });

  test("is not guessed through the change", async () => {
    const from = fixture.caller(setup.token);
    const change = () =>
      refusal(() => fixture.security.rootPass(from, { password: next, current: "guess" }));
    for (let i = 0; i < 5; i++) expect(await change()).toBe("EKEYREJECTED");
    expect(await change()).toBe("EAGAIN");
  });

  test("is root's alone, and as strong as the first", async () => {
    const { token } = await fixture.security.tokens.add(atMachine, {
      name: "keeper",
      capabilities: ["security:*"],
      ttlMs: null,
    });
    const change = { password: next, current: rootPass };
    const from = fixture.caller(token);
    expect(await refusal(() => fixture.security.rootPass(from, change))).toBe("EPERM");
    const weak = { password: "short", current: null };
    expect(await refusal(() => fixture.security.rootPass(atMachine, weak))).toBe("EINVAL");
  });

  test("changed during a login leaves no session behind", async () => {
    const slow = refusal(() => login());
    const changed = fixture.security.rootPass(atMachine, { password: next, current: null });
    const [answer] = await Promise.all([slow, changed]);
    const rows = fixture.storage.read.all(
      "SELECT id FROM security_credential WHERE kind = 'session'",
    );
    expect([null, "EKEYREJECTED"]).toContain(answer);
    expect(rows).toHaveLength(0);
  });
});

test("whoami tells the caller, and refuses nobody: ENOKEY", async () => {
  expect(fixture.security.whoami(fixture.caller(setup.token))).toEqual({
    kind: "owner",
    via: "token",
    userId: "root",
    appId: null,
    capabilities: ["*"],
  });
  expect(await refusal(() => fixture.security.whoami(stranger))).toBe("ENOKEY");
});
