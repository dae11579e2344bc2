/** Tests of the audit log: what is kept, and that it is bounded. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { head } from "./audit.ts";
import { type Fixture, openFixture } from "./fixture.ts";
import { auditRowsMax, auditStrangerRowsMax, auditTrimEvery } from "./limits.ts";

let fixture: Fixture;
beforeEach(() => {
  fixture = openFixture();
});
afterEach(() => fixture.close());

const entry = {
  call: "app.deploy",
  outcome: "ok",
  code: null,
  callerKind: "owner",
  via: "token",
  userId: "root",
  appId: null,
  address: "192.0.2.1",
  subject: '{"name":"blog"}',
} as const;
const ls = (query = {}) =>
  fixture.security.audit.ls({ limit: 100, before: null, call: null, ...query });

test("what was done is kept, newest first, over a restart", async () => {
  await fixture.security.audit.add(entry);
  fixture.pass(5);
  await fixture.security.audit.add({ ...entry, call: "fs.rm", outcome: "refused", code: "EACCES" });
  await fixture.restart();
  const [second, first] = ls();
  expect(first).toEqual({ ...entry, id: 1, at: fixture.machine.now() - 5 });
  expect(second).toMatchObject({ id: 2, call: "fs.rm", code: "EACCES" });
  expect(ls({ call: "fs.rm" }).map(({ id }) => id)).toEqual([2]);
  expect(ls({ before: 2 }).map(({ id }) => id)).toEqual([1]);
  expect(ls({ limit: 1 }).map(({ id }) => id)).toEqual([2]);
});

test("a subject is cut between characters", async () => {
  expect(head("abc", 3)).toBe("abc");
  expect(head("aüü", 4)).toBe("aü");
  expect(head("🚀🚀", 7)).toBe("🚀");
  await fixture.security.audit.add({ ...entry, subject: "ü".repeat(2000) });
  expect(ls()[0]?.subject).toBe("ü".repeat(512));
});

const flood = (count: number, callerKind: string, outcome: string) =>
  fixture.storage.write((tx) =>
    tx.run(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       INSERT INTO security_audit (at, call, outcome, caller_kind, via, subject)
         SELECT 0, 'flood', ?, ?, 'none', '' FROM n`,
      ...[count, outcome, callerKind],
    ),
  );
const count = () =>
  fixture.storage.read.get<{ n: number }>("SELECT count(*) AS n FROM security_audit")?.n;

test("the log is bounded, and strangers cannot push out what matters", async () => {
  await fixture.security.audit.add(entry);
  await flood(auditRowsMax + 10, "anonymous", "refused");
  await fixture.storage.gc();
  expect(count()).toBe(auditStrangerRowsMax + 1);
  expect(ls({ call: "app.deploy" })).toHaveLength(1);
  await flood(auditRowsMax, "owner", "ok");
  await fixture.storage.gc();
  expect(count()).toBe(auditRowsMax);
  expect(ls({ call: "app.deploy" })).toHaveLength(0);
});

test("the log is trimmed without gc as well", async () => {
  await flood(auditStrangerRowsMax + 500, "anonymous", "refused");
  await Promise.all(
    Array.from({ length: auditTrimEvery }, () => fixture.security.audit.add(entry)),
  );
  expect(count()).toBe(auditStrangerRowsMax + auditTrimEvery);
});
