/** Tests of the machine key: sealing, and every way a key can be lost, foreign or damaged. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Caller, localOwner } from "../caller.ts";
import { type Fixture, openFixture, refusal, rootPass } from "./fixture.ts";

let fixture: Fixture;
let path: string;
beforeEach(() => {
  fixture = openFixture();
  path = join(fixture.dataDir, "machine.key");
});
afterEach(() => fixture.close());

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (plain: string) => new TextEncoder().encode(plain);

test("the first boot makes a key of 32 bytes that only its user can read", () => {
  expect(statSync(path).size).toBe(32);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("what is sealed is read again, also after a restart, and never twice the same", async () => {
  const sealed = fixture.security.seal(bytes("hunter2"), "app:blog");
  expect(text(sealed)).not.toContain("hunter2");
  expect(fixture.security.seal(bytes("hunter2"), "app:blog")).not.toEqual(sealed);
  await fixture.restart();
  expect(text(fixture.security.unseal(sealed, "app:blog"))).toBe("hunter2");
  const empty = fixture.security.seal(new Uint8Array(), "");
  expect(fixture.security.unseal(empty, "")).toHaveLength(0);
});

test("another context, any changed byte and a cut are EBADMSG", async () => {
  const { security } = fixture;
  const sealed = security.seal(bytes("hunter2"), "app:blog");
  expect(await refusal(() => security.unseal(sealed, "app:shop"))).toBe("EBADMSG");
  for (let i = 0; i < sealed.length; i++) {
    const changed = sealed.with(i, (sealed[i] ?? 0) ^ 1);
    expect(await refusal(() => security.unseal(changed, "app:blog"))).toBe("EBADMSG");
  }
  for (const size of [0, 1, 28, sealed.length - 1]) {
    expect(await refusal(() => security.unseal(sealed.subarray(0, size), "app:blog"))).toBe(
      "EBADMSG",
    );
  }
});

test("a key others could read is closed to them", async () => {
  await fixture.restart(() => chmodSync(path, 0o644));
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a claimed machine without its key boots, tells so, and seals nothing with another", async () => {
  await fixture.claim();
  const sealed = fixture.security.seal(bytes("hunter2"), "app:blog");
  const kept = readFileSync(path);
  await fixture.restart(() => rmSync(path));
  expect(fixture.security.owner()?.domain).toBe("example.com");
  expect(await refusal(() => fixture.security.unseal(sealed, "app:blog"))).toBe("EBADMSG");
  expect(await refusal(() => fixture.security.seal(bytes("x"), "app:blog"))).toBe("EBADMSG");
  await fixture.restart(() => writeFileSync(path, new Uint8Array(32).fill(7)));
  expect(await refusal(() => fixture.security.unseal(sealed, "app:blog"))).toBe("EBADMSG");
  await fixture.restart(() => writeFileSync(path, kept));
  expect(text(fixture.security.unseal(sealed, "app:blog"))).toBe("hunter2");
});

test("a key that was lost is put back, no other one, and what it sealed is read again", async () => {
  await fixture.claim();
  const sealed = fixture.security.seal(bytes("hunter2"), "app:blog");
  const kept = readFileSync(path);
  await fixture.restart(() => writeFileSync(path, new Uint8Array(32).fill(7)));
  const { key } = fixture.security;
  expect(key.held()).toBe(false);
  expect(await refusal(() => key.set(kept.subarray(1)))).toBe("EINVAL");
  expect(await refusal(() => key.set(new Uint8Array(32).fill(9)))).toBe("EKEYREJECTED");
  key.set(kept);
  expect(await fixture.afresh()).toBe("its machine key is back");
  await fixture.restart();
  expect(fixture.security.key.held()).toBe(true);
  expect(text(fixture.security.unseal(sealed, "app:blog"))).toBe("hunter2");
});

test("the key is shown to root alone, away from the machine for the password", async () => {
  await fixture.claim();
  const { key } = fixture.security;
  const root = localOwner("socket");
  expect(await key.show(root, null)).toEqual(new Uint8Array(readFileSync(path)));
  const away: Caller = { ...root, via: "session", address: "192.0.2.1" };
  expect(await refusal(() => key.show(away, null))).toBe("EKEYREJECTED");
  expect(await refusal(() => key.show(away, "not this one at all"))).toBe("EKEYREJECTED");
  expect(await key.show(away, rootPass)).toEqual(new Uint8Array(readFileSync(path)));
  const clerk: Caller = { ...root, grants: ["security:admin"] };
  expect(await refusal(() => key.show(clerk, rootPass))).toBe("EPERM");
  rmSync(path);
  expect(await refusal(() => key.show(root, null))).toBe("ENOENT");
});

test("another machine's key is refused from the claim on, without a restart", async () => {
  await fixture.claim();
  const kept = readFileSync(path);
  expect(await refusal(() => fixture.security.key.set(kept.map((byte) => byte ^ 1)))).toBe(
    "EKEYREJECTED",
  );
  expect(readFileSync(path)).toEqual(kept);
  fixture.security.key.set(kept);
  expect(readFileSync(path)).toEqual(kept);
});

test("a key that is lost for ever is renewed: what it sealed is lost, new secrets are kept", async () => {
  await fixture.claim();
  const sealed = fixture.security.seal(bytes("hunter2"), "app:blog");
  expect(await refusal(() => fixture.security.key.renew())).toBe("EEXIST");
  await fixture.restart(() => rmSync(path));
  await fixture.security.key.renew();
  expect(await fixture.afresh()).toBe("it has a new machine key");
  await fixture.restart();
  const { security } = fixture;
  expect(security.key.held()).toBe(true);
  expect(await refusal(() => security.unseal(sealed, "app:blog"))).toBe("EBADMSG");
  expect(text(security.unseal(security.seal(bytes("new"), "app:blog"), "app:blog"))).toBe("new");
});

test("an unclaimed machine that lost its key makes another and a new code", async () => {
  const before = fixture.security.setupCode();
  await fixture.restart(() => rmSync(path));
  const code = fixture.security.setupCode();
  expect(code).not.toBe(before);
  await fixture.restart();
  expect(fixture.security.setupCode()).toBe(code);
});

test("a damaged key stops the boot: EBADMSG", async () => {
  const kept = readFileSync(path);
  const damaged = () => writeFileSync(path, kept.subarray(0, 31));
  expect(await refusal(() => fixture.restart(damaged))).toBe("EBADMSG");
});

test("a leftover of a cut first boot is replaced", async () => {
  await fixture.restart(() => {
    rmSync(path);
    writeFileSync(`${path}.new`, "half");
  });
  expect(statSync(path).size).toBe(32);
});

test("a link in place of the key is refused", async () => {
  const elsewhere = join(fixture.dataDir, "elsewhere");
  mkdirSync(elsewhere);
  const swap = () => {
    rmSync(path);
    symlinkSync(join(elsewhere, "key"), path);
  };
  expect(await refusal(() => fixture.restart(swap))).toBe("EACCES");
});
