/** The dispatcher's order, on a whole kernel and a table of its own. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { z } from "zod";
import { type TestKernel, testKernel } from "../../tests/kernel.ts";
import { call } from "../call.ts";
import { anonymous, type Caller, localOwner } from "../caller.ts";
import { SysError } from "../errno.ts";
import { auditSubject, authorise, createDispatcher, type Dispatcher, flatten } from "./dispatch.ts";
import { table as realTable } from "./table.ts";

const base = {
  summary: "A call",
  needs: "fs:read",
  errors: ["ENOENT"],
  effect: "read",
  input: z.object({ path: z.string().describe("a path") }),
  output: z.object({ size: z.number().describe("bytes") }),
  examples: [],
} as const;

const table = {
  fs: {
    fine: call({ ...base, run: (_, __, { path }) => ({ size: path.length }) }),
    held: call({ ...base, surfaces: ["app"], run: () => ({ size: 1 }) }),
    declared: call({
      ...base,
      run: () => {
        throw new SysError("ENOENT", 'cannot read "/x": no such file');
      },
    }),
    undeclared: call({
      ...base,
      run: () => {
        throw new SysError("EEXIST", "the disk is full of secrets");
      },
    }),
    broken: call({
      ...base,
      run: () => {
        throw new TypeError("secret inner detail");
      },
    }),
    lies: call({ ...base, run: () => ({ size: "many" }) as never }),
    change: call({
      ...base,
      effect: "write",
      secrets: ["token"],
      input: z.object({ path: z.string(), token: z.string().optional() }),
      run: () => ({ size: 0 }),
    }),
    everything: call({
      ...base,
      audited: true,
      input: z.object({}),
      run: () => ({ size: 1 }),
    }),
    open: call({ ...base, needs: "public", run: () => ({ size: 7 }) }),
  },
};

const owner = localOwner("socket");
const app: Caller = {
  ...anonymous(null),
  kind: "app",
  via: "app",
  appId: "app_x",
  grants: ["fs:read"],
};
const scoped: Caller = { ...anonymous("192.0.2.1"), kind: "user", via: "token", grants: ["net:*"] };

let kernel: TestKernel;
let dispatcher: Dispatcher;

beforeAll(async () => {
  kernel = await testKernel();
  dispatcher = createDispatcher(kernel.kernel, table);
});
afterAll(() => kernel[Symbol.asyncDispose]());

/** The error a call ends in. */
async function refusal(caller: Caller, name: string, input: unknown): Promise<SysError> {
  const outcome = dispatcher.dispatch({ caller, call: name, input });
  const error = await outcome.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof SysError) return error;
  throw new Error(`${name} was not refused with a SysError`);
}

const lastAudit = () => kernel.kernel.security.audit.ls({ limit: 1, before: null, call: null })[0];

describe("dispatch", () => {
  test("finds, parses, runs and checks", async () => {
    const reply = await dispatcher.dispatch({
      caller: owner,
      call: "fs.fine",
      input: { path: "/a" },
    });
    expect(reply).toEqual({ kind: "json", value: { size: 2 } });
  });

  test("an unknown call is ENOSYS", async () => {
    expect((await refusal(owner, "fs.nothing", {})).code).toBe("ENOSYS");
  });

  test("a wrong input is EINVAL and names the field", async () => {
    const error = await refusal(owner, "fs.fine", { path: 1 });
    expect([error.code, error.message.includes('"path"')]).toEqual(["EINVAL", true]);
    expect(error.hint).toBe("fazt man fs fine");
    // What is no command has no page in the manual.
    const held = await refusal(app, "fs.held", { path: 1 });
    expect(held.hint).toBe("kernel.fs.held takes path");
  });

  test("an unknown argument is EINVAL with the nearest one as hint", async () => {
    const error = await refusal(owner, "fs.fine", { path: "/a", pth: "/b" });
    expect([error.code, error.message]).toEqual(["EINVAL", 'unknown argument "pth"']);
    expect(error.hint).toBe('did you mean "path"?');
  });

  test("nobody is ENOKEY, the wrong scope EACCES, and both are in the audit log", async () => {
    expect((await refusal(anonymous("192.0.2.9"), "fs.fine", { path: "/a" })).code).toBe("ENOKEY");
    expect(lastAudit()).toMatchObject({ outcome: "refused", code: "ENOKEY", address: "192.0.2.9" });
    expect((await refusal(scoped, "fs.fine", { path: "/a" })).code).toBe("EACCES");
    expect(lastAudit()).toMatchObject({ call: "fs.fine", outcome: "refused", code: "EACCES" });
  });

  test("an app sees only the calls apps hold", async () => {
    expect((await refusal(app, "fs.fine", { path: "/a" })).code).toBe("EPERM");
    const reply = await dispatcher.dispatch({
      caller: app,
      call: "fs.held",
      input: { path: "/a" },
    });
    expect(reply).toEqual({ kind: "json", value: { size: 1 } });
  });

  test("a declared errno passes as it is", async () => {
    const error = await refusal(owner, "fs.declared", { path: "/x" });
    expect([error.code, error.message]).toEqual(["ENOENT", 'cannot read "/x": no such file']);
  });

  test.each(["fs.undeclared", "fs.broken", "fs.lies"])(
    "%s is EIO with an incident id that the log explains",
    async (name) => {
      const error = await refusal(owner, name, { path: "/x" });
      expect(error.code).toBe("EIO");
      expect(error.message).not.toContain("secret");
      const incident = /inc_[0-9a-z]+/.exec(error.message)?.[0] ?? "none";
      const logged = kernel.kernel.storage.logs.query({ app: "kernel", grep: incident });
      expect(logged.map((line) => line.level)).toEqual(["error"]);
    },
  );

  test("a change is audited without its secrets", async () => {
    const input = { path: "/a", token: "hunter2" };
    await dispatcher.dispatch({ caller: owner, call: "fs.change", input });
    const entry = lastAudit();
    expect(entry).toMatchObject({ call: "fs.change", outcome: "ok", code: null, via: "socket" });
    expect(entry?.subject).toContain('"/a"');
    expect(entry?.subject).not.toContain("hunter2");
  });

  test("a call that hands out a whole machine or app is audited though it only reads", async () => {
    const calls = ["storage.backup", "app.export", "security.user.export"];
    const flat = flatten(realTable);
    expect(calls.map((name) => flat.get(name)?.audited)).toEqual([true, true, true]);
    await dispatcher.dispatch({ caller: owner, call: "fs.everything", input: {} });
    expect(lastAudit()).toMatchObject({ call: "fs.everything", outcome: "ok" });
    await dispatcher.dispatch({ caller: owner, call: "fs.fine", input: { path: "/a" } });
    expect(lastAudit()).toMatchObject({ call: "fs.everything" });
  });

  test("every call is counted and timed", async () => {
    await refusal(owner, "fs.declared", { path: "/x" });
    const row = dispatcher.stats().find((stats) => stats.name === "fs.declared");
    expect(row?.count).toBeGreaterThan(0);
    expect(row?.errors).toBe(row?.count ?? -1);
  });
});

describe("authorise", () => {
  const read = { needs: "fs:read", effect: "read", surfaces: ["http"] } as const;
  const open = { ...read, needs: "public" } as const;
  test.each([
    ["owner, claimed", owner, read, true, null],
    ["owner, unclaimed, reading", owner, read, false, null],
    ["owner, unclaimed, changing", owner, { ...read, effect: "write" } as const, false, "EACCES"],
    ["token, unclaimed", scoped, read, false, "EACCES"],
    ["nobody, public", anonymous(null), open, false, null],
    ["nobody, claimed", anonymous(null), read, true, "ENOKEY"],
    ["app, not held", app, read, true, "EPERM"],
    ["wrong scope", scoped, read, true, "EACCES"],
  ] as const)("%s", (_, caller, declared, claimed, code) => {
    expect(authorise(caller, declared, claimed)?.code ?? null).toBe(code);
  });
});

test("flatten keeps the table's order and joins names with dots", () => {
  const tree = { storage: { kv: { get: table.fs.fine }, status: table.fs.open } };
  expect([...flatten(tree).keys()]).toEqual(["storage.kv.get", "storage.status"]);
});

test("the audit subject counts long lists", () => {
  const input = { name: "blog", files: ["a", "b", "c", "d"] };
  expect(auditSubject({ secrets: [] }, input)).toBe('{"name":"blog","files":"4 items"}');
});

test("the audit subject is cut", () => {
  expect(auditSubject({ secrets: [] }, { text: "x".repeat(5000) }).length).toBe(1024);
});
