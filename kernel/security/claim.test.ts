/** Tests of the claim: the setup code, one winner, wrong codes, names. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { newSetupCode, parseDomain, parseEmail, sameCode } from "./claim.ts";
import { type Fixture, openFixture, refusal, rootPass, stranger } from "./fixture.ts";

let fixture: Fixture;
beforeEach(() => {
  fixture = openFixture();
});
afterEach(() => fixture.close());

const identity = { rootPass, domain: "example.com", email: "me@example.com" };
const wrong = { ...identity, code: "2222-2222-2222" };
const from = stranger.address;
const code = () => fixture.security.setupCode() ?? "";

describe("the setup code", () => {
  test("is three groups a person can type", () => {
    expect(code()).toMatch(/^[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}$/);
    expect(newSetupCode(new Uint8Array(12).fill(255))).toBe("ZZZZ-ZZZZ-ZZZZ");
  });

  test("is the same in any case, with or without hyphens", () => {
    expect(sameCode("K7QW-M3XP-9TRA", " k7qwm3xp 9tra")).toBe(true);
    expect(sameCode("K7QW-M3XP-9TRA", "K7QW-M3XP-9TRB")).toBe(false);
    expect(sameCode("K7QW-M3XP-9TRA", "")).toBe(false);
  });

  test("survives a restart, sealed, and is gone with the claim", async () => {
    const before = code();
    await fixture.restart();
    expect(code()).toBe(before);
    const row = fixture.storage.read.get<{ setup_code: Uint8Array }>(
      "SELECT setup_code FROM security_machine",
    );
    expect(new TextDecoder().decode(row?.setup_code)).not.toContain(before);
    await fixture.claim();
    expect(fixture.security.setupCode()).toBeNull();
  });
});

describe("a claim", () => {
  test("gives the machine its owner and a token with every right", async () => {
    expect(fixture.security.owner()).toBeNull();
    const token = await fixture.security.claim(
      { ...identity, code: code().toLowerCase().replaceAll("-", ""), domain: "Bücher.Example." },
      from,
    );
    expect(token).toMatchObject({ name: "setup", userId: "root", capabilities: ["*"] });
    expect((token.expiresAt ?? 0) - token.createdAt).toBe(30 * 86_400_000);
    expect(fixture.caller(token.token)).toMatchObject({ kind: "owner", via: "token" });
    const owner = {
      domain: "xn--bcher-kva.example",
      email: "me@example.com",
      claimedAt: fixture.machine.now(),
    };
    expect(fixture.security.owner()).toEqual(owner);
    await fixture.restart();
    expect(fixture.security.owner()).toEqual(owner);
    expect(fixture.security.setupCode()).toBeNull();
    expect(fixture.caller(token.token).grants).toEqual(["*"]);
  });

  test("happens once: EEXIST from then on, by code or at the machine", async () => {
    const first = code();
    await fixture.claim();
    const again = { ...identity, code: first };
    expect(await refusal(() => fixture.security.claim(again, from))).toBe("EEXIST");
    expect(await refusal(() => fixture.security.claimLocally(identity))).toBe("EEXIST");
    await fixture.restart();
    expect(await refusal(() => fixture.security.claim(again, from))).toBe("EEXIST");
  });

  test("of several at once exactly one wins", async () => {
    const claims = ["a", "b", "c", "d"].map((name) =>
      refusal(() =>
        fixture.security.claim({ ...identity, code: code(), domain: `${name}.example` }, from),
      ),
    );
    claims.push(refusal(() => fixture.security.claimLocally(identity)));
    const answers = await Promise.all(claims);
    expect(answers.filter((answer) => answer === null)).toHaveLength(1);
    expect(answers.filter((answer) => answer === "EEXIST")).toHaveLength(4);
    expect(fixture.security.users.ls()).toHaveLength(1);
  });

  test("at the machine needs no code", async () => {
    await fixture.security.claimLocally({ ...identity, domain: "localhost" });
    expect(fixture.security.owner()?.domain).toBe("localhost");
    const login = await fixture.security.login({ user: "root", password: rootPass }, from);
    expect(login.user.name).toBe("root");
  });

  test("with a weak password, no domain or no address is EINVAL and costs no try", async () => {
    const bad = [{ rootPass: "example.com1" }, { domain: "not a name" }, { email: "me" }];
    for (const part of [...bad, ...bad]) {
      const claim = { ...identity, code: code(), ...part };
      expect(await refusal(() => fixture.security.claim(claim, from))).toBe("EINVAL");
    }
    expect(fixture.security.owner()).toBeNull();
    expect(await refusal(() => fixture.claim())).toBeNull();
  });
});

describe("wrong codes", () => {
  const guess = (address: string | null = from) =>
    refusal(() => fixture.security.claim(wrong, address));

  test("are EACCES; the fifth makes a new code, is EAGAIN and audited", async () => {
    const before = code();
    const shown: string[] = [];
    fixture.security.onSetupCode((fresh) => shown.push(fresh));
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push(await guess());
    expect(answers).toEqual(["EACCES", "EACCES", "EACCES", "EACCES", "EAGAIN"]);
    expect(code()).not.toBe(before);
    expect(shown).toEqual([code()]);
    const [entry] = fixture.security.audit.ls({ limit: 1, before: null, call: "security.claim" });
    expect(entry).toMatchObject({ outcome: "refused", code: "EAGAIN", address: from });
    expect(entry?.subject).not.toContain(code());
    const old = { ...identity, code: before };
    expect(await refusal(() => fixture.security.claim(old, "192.0.2.9"))).toBe("EACCES");
    const fresh = code();
    await fixture.restart();
    expect(code()).toBe(fresh);
    expect(await refusal(() => fixture.claim())).toBeNull();
  });

  test("slow their address, with any code, and nobody else", async () => {
    for (let i = 0; i < 5; i++) await guess();
    const right = { ...identity, code: code() };
    const slowed = fixture.security.claim(right, from);
    await expect(slowed).rejects.toMatchObject({ code: "EAGAIN", retryAfterMs: 1000 });
    fixture.pass(1000);
    expect(await guess()).toBe("EACCES");
    fixture.pass(1999);
    expect(await guess()).toBe("EAGAIN");
    expect(await refusal(() => fixture.claim())).toBeNull();
  });

  test("make a new code from many addresses as well", async () => {
    const before = code();
    for (let i = 0; i < 4; i++) expect(await guess(`192.0.2.${i}`)).toBe("EACCES");
    expect(await guess("192.0.2.5")).toBe("EAGAIN");
    expect(code()).not.toBe(before);
  });

  test("void a claim with the old code that is under way", async () => {
    const claim = refusal(() => fixture.security.claim({ ...identity, code: code() }, "192.0.2.1"));
    for (let i = 0; i < 5; i++) await guess(`198.51.100.${i}`);
    expect(await claim).toBe("EACCES");
    expect(fixture.security.owner()).toBeNull();
  });
});

describe("names", () => {
  test.each([
    ["localhost", "localhost"],
    ["Example.COM", "example.com"],
    ["example.com.", "example.com"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["me.localhost", "me.localhost"],
  ])("%p is the domain %p", (text, domain) => {
    expect(parseDomain(text)).toBe(domain);
  });

  const bad = ["", "com", "127.0.0.1", "127.1", "::1", "a_b.example", "-a.example", "a..example"];
  const worse = ["https://a.example", "a.example/x", "a.example:80", "u@a.example", "a b.example"];
  test.each([...bad, ...worse, `${"a".repeat(64)}.example`, `${"a.".repeat(100)}example`])(
    "%p is no domain",
    async (text) => {
      expect(await refusal(() => parseDomain(text))).toBe("EINVAL");
    },
  );

  test("an address keeps its local part and has a domain", async () => {
    expect(parseEmail(" Me+fazt@Example.COM ")).toBe("Me+fazt@example.com");
    for (const text of ["", "me", "@example.com", "me@", "a@b@example.com", "a b@example.com"]) {
      expect(await refusal(() => parseEmail(text))).toBe("EINVAL");
    }
  });
});

test("the domain changes on a claimed machine only", async () => {
  expect(await refusal(() => fixture.security.setDomain("other.example"))).toBe("EPERM");
  await fixture.claim();
  expect(await refusal(() => fixture.security.setDomain("no name"))).toBe("EINVAL");
  await fixture.security.setDomain("Other.Example");
  expect(fixture.security.owner()?.domain).toBe("other.example");
  await fixture.restart();
  expect(fixture.security.owner()?.domain).toBe("other.example");
});
