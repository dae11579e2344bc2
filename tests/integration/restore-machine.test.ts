/**
 * An unclaimed machine becomes an old one while it runs: from a real S3 server, by the call the
 * wizard makes; what is refused changes nothing.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type KernelProcess, startProcess, until } from "../process.ts";
import { type S3, startS3 } from "../s3.ts";

interface Step {
  readonly step?: string;
  readonly database?: string | null;
  readonly done?: number;
  readonly of?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

let s3: S3;
let key: string;
let token: string;

/** The old machine: an app, its data, its volume; replicated, and then gone. */
beforeAll(async () => {
  s3 = await startS3();
  await using old = await startProcess();
  const dir = old.scratch("site");
  writeFileSync(join(dir, "index.html"), "as it was");
  await old.faztJson("app", "deploy", dir, "--name", "site");
  await old.call("storage.kv.set", { app: "site", key: "a", value: "kept" });
  await old.call("app.env.set", { app: "site", name: "API_KEY", secret: "sealed" });
  await old.call("storage.sql", { app: "site", sql: "CREATE TABLE t (x)", write: true });
  await old.call("driver.replica.set", place());
  await old.call("driver.replica.flush");
  key = readFileSync(join(old.dataDir, "machine.key")).toString("base64");
  token = old.token;
  await old.stop();
}, 60_000);
afterAll(() => s3[Symbol.asyncDispose]());

const place = () => {
  const { endpoint, keyId, secret, bucket } = s3;
  return { url: `s3://${bucket}/home`, endpoint, keyId, secret };
};

/** Makes the call as the wizard does: to whatever the address is, with the code. */
async function restore(machine: KernelProcess, input: object): Promise<[number, Step[]]> {
  const response = await fetch(`${machine.ready.http}/sys/driver/replica/restore-machine`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ code: machine.ready.setupCode, ...place(), ...input }),
  });
  const lines = (await response.text()).trim().split("\n");
  return [response.status, lines.map((line) => JSON.parse(line) as Step)];
}

const isUnclaimed = async (machine: KernelProcess) =>
  ((await (await fetch(`${machine.ready.http}/sys/health`)).json()) as { mode: string }).mode ===
  "setup";

test("the plan first, then the machine: owner, apps, data, secrets, and it replicates on", async () => {
  await using machine = await startProcess({ claimed: false });
  const [planned, plan] = await restore(machine, { dryRun: true });
  expect([planned, plan.map(({ step }) => step)]).toEqual([200, ["planned"]]);
  expect(plan[0]).toMatchObject({ of: 2, done: 0 });
  expect(await isUnclaimed(machine)).toBe(true);

  const [status, steps] = await restore(machine, { key });
  expect([status, steps.map(({ step }) => step)]).toEqual([
    200,
    ["planned", "made", "made", "restored"],
  ]);
  expect(steps.map(({ done }) => done)).toEqual([0, 1, 2, 2]);
  const asOld = async () => {
    const response = await machine.fetch("site", "/").catch(() => null);
    return response?.status === 200 && (await response.text()) === "as it was";
  };
  await until("it answers as the old machine, at the same address", asOld);
  const headers = { authorization: `Bearer ${token}` };
  const call = async (name: string, input: object = {}) => {
    const init = { method: "POST", headers, body: JSON.stringify(input) };
    return (await (await machine.fetch("os", `/sys/${name}`, init)).json()) as object;
  };
  expect(await call("storage/kv/get", { app: "site", key: "a" })).toMatchObject({ value: "kept" });
  expect(await call("storage/sql", { app: "site", sql: "SELECT count(*) AS n FROM t" })).toEqual([
    { n: 0 },
  ]);
  expect(await call("storage/check")).toMatchObject({ ok: true });
  // The place with its sealed secret; the lease of the machine that was is good for half a minute.
  const replica = (await call("driver/replica/status")) as { place: string; state: string };
  expect(replica.place).toContain("replica/home");
  expect(replica.state).not.toBe("off");
  expect(await call("driver/replica/restore-machine", place())).toMatchObject({
    error: { code: "EEXIST" },
  });
  expect(readdirSync(machine.dataDir).filter((name) => name.startsWith("restore"))).toEqual([]);
}, 120_000);

describe("refused, and the machine is as unclaimed as before", () => {
  let machine: KernelProcess;
  beforeAll(async () => {
    machine = await startProcess({ claimed: false });
  });
  afterAll(() => machine[Symbol.asyncDispose]());

  const nothing = async () => {
    expect(await isUnclaimed(machine)).toBe(true);
    const left = readdirSync(machine.dataDir).filter((name) => name.startsWith("restore"));
    expect(left).toEqual([]);
  };

  test.each([
    ["a wrong code", { code: "AAAA-BBBB-CCCC" }, 403, "EACCES"],
    ["a place that is none", { url: "ftp://x" }, 400, "EINVAL"],
    ["a key that is none", { key: "AAAA" }, 400, "EINVAL"],
    ["nothing there", { url: "s3://replica/elsewhere" }, 404, "ENOENT"],
    ["before it began", { at: "2001-01-01T00:00:00Z" }, 404, "ENOENT"],
    ["a store that is away", { endpoint: "http://127.0.0.1:9" }, 500, "EIO"],
  ])(
    "%s",
    async (_, input, status, code) => {
      const [answered, [first]] = await restore(machine, input);
      expect([answered, first?.error?.code]).toEqual([status, code]);
      await nothing();
    },
    60_000,
  );

  test("another machine's key, found out when the databases are there", async () => {
    const other = Buffer.alloc(32, 7).toString("base64");
    const [status, steps] = await restore(machine, { key: other });
    expect([status, steps.at(-1)?.error?.code]).toEqual([200, "EKEYREJECTED"]);
    await nothing();
  });

  test("damage in the store, named", async () => {
    const names = readdirSync(s3.directory, { recursive: true }) as string[];
    const snapshots = names.filter((name) => /data\.db.*snapshots\/.*lz4.*object$/.test(name));
    const paths = snapshots.map((name) => join(s3.directory, name));
    const kept = paths.map((path) => [path, readFileSync(path)] as const);
    expect(kept.length).toBeGreaterThan(0);
    for (const [path, whole] of kept) {
      const bad = Uint8Array.from(whole);
      bad[bad.length >> 1] = (bad[bad.length >> 1] ?? 0) ^ 1;
      writeFileSync(path, bad);
    }
    const [, steps] = await restore(machine, {});
    for (const [path, whole] of kept) writeFileSync(path, whole);
    expect(steps.at(-1)?.error?.code).toBe("EBADMSG");
    expect(steps.at(-1)?.error?.message).toContain("data.db");
    await nothing();
  });

  test("a kill in the middle leaves it unclaimed, and the next start clean", async () => {
    s3.fault = ({ path, method }) => (method === "GET" && path.includes("lz4") ? "stall" : null);
    const asked = restore(machine, {}).catch(() => null);
    await until("it is under way", () => existsSync(join(machine.dataDir, "restore-new")));
    await machine.stop("SIGKILL");
    s3.fault = () => null;
    await asked;
    await machine.start();
    await nothing();
    const [status] = await restore(machine, { dryRun: true });
    expect(status).toBe(200);
  }, 60_000);
});
