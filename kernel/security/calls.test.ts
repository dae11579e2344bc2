/** Tests of the calls through the dispatcher: replies, every declared refusal, the audit. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Caller, localOwner } from "../caller.ts";
import type { Kernel } from "../kernel.ts";
import { createDispatcher, type Dispatcher } from "../syscall/mod.ts";
import { security as tree } from "./calls.ts";
import { atMachine, type Fixture, openFixture, refusal, rootPass, stranger } from "./fixture.ts";
import type { NewToken } from "./mod.ts";

let fixture: Fixture;
let dispatcher: Dispatcher;
let setup: NewToken;
/** The part of a kernel that these calls reach. */
const connect = () => {
  const { machine, storage, security } = fixture;
  dispatcher = createDispatcher({ machine, storage, security } as Kernel, { security: tree });
};
beforeEach(async () => {
  fixture = openFixture();
  setup = await fixture.claim();
  connect();
});
afterEach(() => fixture.close());

const user = (name: string) => ({
  name,
  password: "kettle moss violin nine",
  capabilities: ["fs:read"],
});
const token = { name: "ci", capabilities: ["fs:read"] };
const make = async (caller: Caller, name: string, input: object = {}): Promise<unknown> => {
  const reply = await dispatcher.dispatch({ caller, call: `security.${name}`, input });
  return reply.kind === "json" ? reply.value : null;
};
const refused = (caller: Caller, name: string, input: object = {}) =>
  refusal(() => make(caller, name, input));

test("each call answers what it declares", async () => {
  const root = fixture.caller(setup.token);
  expect(await make(root, "whoami")).toMatchObject({ kind: "owner", capabilities: ["*"] });
  const made = (await make(root, "token.add", token)) as NewToken;
  expect(made).toMatchObject({ name: "ci", lastUsedAt: null });
  expect((made.expiresAt ?? 0) - made.createdAt).toBe(90 * 86_400_000);
  expect(await make(root, "token.ls")).toHaveLength(2);
  expect(await make(root, "token.rm", { id: made.id })).toEqual({ done: true });
  expect(await make(root, "user.add", user("ada"))).toMatchObject({ name: "ada" });
  expect(await make(root, "user.ls")).toHaveLength(2);
  expect(await make(root, "user.rm", { name: "ada" })).toEqual({ done: true });
  const { session } = (await make(stranger, "login", { password: rootPass })) as {
    session: string;
  };
  expect(await make(stranger, "logout", { session })).toEqual({ done: true });
  const change = { password: "seven lamps otter gravel", current: rootPass };
  expect(await make(root, "rootPass", change)).toEqual({ done: true });
});

test("a claim is a call that anybody makes once", async () => {
  const claim = { code: "2222", rootPass, domain: "example.com", email: "me@example.com" };
  expect(await refused(stranger, "claim", claim)).toBe("EEXIST");
  await fixture.close();
  fixture = openFixture();
  connect();
  const code = fixture.security.setupCode() ?? "";
  expect(await refused(stranger, "claim", claim)).toBe("EACCES");
  expect(await refused(stranger, "claim", { ...claim, code, rootPass: "x" })).toBe("EINVAL");
  expect(await refused(stranger, "claim", { ...claim, code, extra: 1 })).toBe("EINVAL");
  for (let i = 0; i < 3; i++) await refused(stranger, "claim", claim);
  expect(await refused(stranger, "claim", claim)).toBe("EAGAIN");
  const other = { ...stranger, address: "192.0.2.1" };
  const fresh = { ...claim, code: fixture.security.setupCode() };
  expect(await make(other, "claim", fresh)).toMatchObject({ name: "setup" });
});

describe("refusals", () => {
  test("nobody: ENOKEY", async () => {
    expect(await refused(stranger, "whoami")).toBe("ENOKEY");
    expect(await refused(stranger, "token.ls")).toBe("ENOKEY");
    expect(await refused(stranger, "rootPass", { password: "x" })).toBe("ENOKEY");
  });

  test("without the capability: EACCES; with it, but not root: EPERM", async () => {
    const scope = (capabilities: string[]) =>
      fixture.security.tokens.add(atMachine, { name: "ci", capabilities, ttlMs: null });
    const reader = fixture.caller((await scope(["security:read"])).token);
    expect(await refused(reader, "token.ls")).toBeNull();
    expect(await refused(reader, "token.add", token)).toBe("EACCES");
    expect(await refused(reader, "audit")).toBeNull();
    const writer = fixture.caller((await scope(["security:write"])).token);
    expect(await refused(writer, "audit")).toBe("EACCES");
    expect(await refused(writer, "token.add", token)).toBe("EPERM");
    expect(await refused(writer, "token.rm", { id: setup.id })).toBe("EPERM");
    expect(await refused(writer, "user.add", user("ada"))).toBe("EPERM");
    expect(await refused(writer, "user.rm", { name: "root" })).toBe("EPERM");
    expect(await refused(writer, "rootPass", { password: rootPass, current: rootPass })).toBe(
      "EPERM",
    );
  });

  test("EEXIST, ENOENT, EINVAL and EKEYREJECTED", async () => {
    expect(await refused(atMachine, "user.add", user("root"))).toBe("EEXIST");
    expect(await refused(atMachine, "user.rm", { name: "ada" })).toBe("ENOENT");
    expect(await refused(atMachine, "token.rm", { id: "tok_1" })).toBe("ENOENT");
    expect(await refused(atMachine, "token.add", { ...token, name: "\n" })).toBe("EINVAL");
    expect(await refused(atMachine, "user.add", { ...user("ada"), password: "x" })).toBe("EINVAL");
    expect(await refused(atMachine, "rootPass", { password: "x" })).toBe("EINVAL");
    expect(await refused(stranger, "login", {})).toBe("EINVAL");
    expect(await refused(stranger, "login", { password: "x" })).toBe("EKEYREJECTED");
    const away = fixture.caller(setup.token);
    const change = { password: "seven lamps otter gravel" };
    expect(await refused(away, "rootPass", change)).toBe("EKEYREJECTED");
  });

  test("EAGAIN after five wrong logins, also for the change of the password", async () => {
    for (let i = 0; i < 5; i++) await refused(stranger, "login", { password: "x" });
    expect(await refused(stranger, "login", { password: rootPass })).toBe("EAGAIN");
    const away = { ...fixture.caller(setup.token), address: stranger.address };
    const change = { password: "seven lamps otter gravel", current: rootPass };
    expect(await refused(away, "rootPass", change)).toBe("EAGAIN");
  });

  test("EAGAIN when too many passwords are hashed at once", async () => {
    const adds = Array.from({ length: 14 }, (_, i) =>
      refused(atMachine, "user.add", user(`u${i}`)),
    );
    expect(await Promise.all(adds)).toContain("EAGAIN");
  });

  test("ENOSPC at the disk's mark for what grows; the owner gets in and cleans up", async () => {
    await fixture.security.users.add(atMachine, user("ada"));
    await fixture.fill();
    connect();
    expect(await refused(atMachine, "token.add", token)).toBe("ENOSPC");
    expect(await refused(atMachine, "user.add", user("eve"))).toBe("ENOSPC");
    const { session } = (await make(stranger, "login", { password: rootPass })) as {
      session: string;
    };
    expect(await refused(stranger, "logout", { session })).toBeNull();
    expect(await refused(atMachine, "user.rm", { name: "ada" })).toBeNull();
    const change = { password: "seven lamps otter gravel" };
    expect(await refused(atMachine, "rootPass", change)).toBeNull();
    expect(await refused(atMachine, "token.rm", { id: setup.id })).toBeNull();
  });
});

test("every change and refusal is audited, and no secret with it", async () => {
  await make(localOwner("socket"), "user.add", user("ada"));
  await refused(stranger, "login", { password: "my secret guess" });
  await refused(stranger, "token.ls");
  const log = (await make(atMachine, "audit", {})) as { call: string; code: string | null }[];
  expect(log.map(({ call, code }) => [call, code])).toEqual([
    ["security.token.ls", "ENOKEY"],
    ["security.login", "EKEYREJECTED"],
    ["security.user.add", null],
  ]);
  expect(JSON.stringify(log)).not.toMatch(/my secret guess|kettle/);
  expect(await make(atMachine, "audit", { call: "security.login" })).toHaveLength(1);
});
