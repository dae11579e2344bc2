/** What user-data brings: a root password by its hash, a setup code by its hash, and what is noted. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { type Fixture, openFixture, refusal, rootPass } from "./fixture.ts";
import { broughtCodeTries } from "./limits.ts";
import { assertHash, hashPassword } from "./password.ts";

let fixture: Fixture;
beforeEach(() => {
  fixture = openFixture();
});
afterEach(() => fixture.close());

const identity = { domain: "example.com", email: "me@example.com" };
const code = "wharf-lantern-otter-9";

test("a claim by hash is a claim: the password logs in, after a restart too", async () => {
  const rootPassHash = await hashPassword(rootPass);
  await fixture.security.claimLocally({ ...identity, rootPassHash });
  await fixture.restart();
  expect(fixture.security.owner()).toMatchObject(identity);
  await fixture.security.login({ password: rootPass }, null);
  expect(await refusal(() => fixture.security.login({ password: "other" }, null))).toBe(
    "EKEYREJECTED",
  );
});

test("a setup code by hash claims beside the console's own, after a restart too", async () => {
  await fixture.security.bringCode(await hashPassword(code));
  await fixture.restart();
  expect(fixture.security.setupCode()).not.toBeNull();
  await fixture.security.claim({ ...identity, rootPass, code }, "192.0.2.1");
  expect(fixture.security.owner()).toMatchObject(identity);
  const hash = await hashPassword(code);
  expect(await refusal(() => fixture.security.bringCode(hash))).toBe("EEXIST");
});

test("a setup code by hash ends when it was guessed at too often", async () => {
  await fixture.security.bringCode(await hashPassword(code));
  for (let i = 0; i < broughtCodeTries; i++) {
    const wrong = { ...identity, rootPass, code: `wrong${i}` };
    await refusal(() => fixture.security.claim(wrong, `192.0.2.${i}`));
  }
  const right = { ...identity, rootPass, code };
  expect(await refusal(() => fixture.security.claim(right, "198.51.100.1"))).toBe("EACCES");
  expect(fixture.security.owner()).toBeNull();
});

test("what was noted is read again", async () => {
  expect(fixture.security.seed()).toBeNull();
  const note = {
    source: "test",
    instanceId: null,
    sha256: null,
    at: 1,
    attempts: 0,
    problem: null,
  };
  await fixture.security.noteSeed({ ...note, steps: ["network"], done: false });
  await fixture.security.noteSeed({ ...note, steps: ["network", "claim"], done: true });
  await fixture.restart();
  expect(fixture.security.seed()).toEqual({ ...note, steps: ["network", "claim"], done: true });
  // It survives the claim, and no setup code is lost by it.
  expect(fixture.security.setupCode()).not.toBeNull();
  await fixture.claim();
  expect(fixture.security.seed()?.done).toBe(true);
});

const salt = "c29tZXNhbHRzYWx0";
const digest = "A".repeat(43);
test.each([
  [`$argon2id$v=19$m=19456,t=2,p=1$${salt}$${digest}`, "taken"],
  [`$argon2i$v=19$m=19456,t=2,p=1$${salt}$${digest}`, "not argon2id in PHC form"],
  ["$2b$10$abcdefghijklmnopqrstuv", "not argon2id in PHC form"],
  ["gravel otter lamp seven", "not argon2id in PHC form"],
  [`$argon2id$v=19$m=1024,t=1,p=1$${salt}$${digest}`, "its parameters are out of bounds"],
  [`$argon2id$v=19$m=4194304,t=2,p=1$${salt}$${digest}`, "its parameters are out of bounds"],
  [`$argon2id$v=19$m=19456,t=99,p=1$${salt}$${digest}`, "its parameters are out of bounds"],
])("the hash %s: %s", (hash, state) => {
  const check = () => assertHash(hash);
  if (state === "taken") expect(check).not.toThrow();
  else expect(check).toThrow(state);
});
