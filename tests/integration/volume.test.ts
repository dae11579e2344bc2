/**
 * Apps' SQL volumes on a whole kernel, with real processes in the real sandbox: statements from
 * outside, migrations at deploy, the quota, and two ORMs as they come from npm.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../../kernel/errno.ts";
import { deployed } from "../deployed.ts";
import { type TestKernel, testKernel } from "../kernel.ts";

let k: TestKernel;
const quotaBytes = 2 * 1024 * 1024;

beforeAll(async () => {
  k = await testKernel({ storageLimits: { volumeBytesMax: quotaBytes } });
});

afterAll(async () => {
  await k[Symbol.asyncDispose]();
});

/** Runs what a request brings on the app's own database. */
const server = `
import { kernel } from "fazt";
const db = kernel.storage.sql();
export default {
  async fetch(request) {
    try {
      return Response.json(db.query(await request.text()).all());
    } catch (error) {
      return Response.json({ code: error.code, message: error.message }, { status: 500 });
    }
  },
};
`;

const first = "CREATE TABLE post (id INTEGER PRIMARY KEY, title TEXT NOT NULL);";

async function deploy(name: string, migrations: Record<string, string>) {
  const files: Record<string, string> = { "server.js": server };
  for (const [file, sql] of Object.entries(migrations)) files[`migrations/${file}`] = sql;
  return deployed(k, name, { files, manifest: { server: "server.js" } });
}

type Row = Record<string, unknown>;

const sql = (app: string, text: string, rest: object = {}) =>
  k.call<Row[]>("storage.sql", { app, sql: text, ...rest });

async function refusal(work: Promise<unknown>): Promise<SysError> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof SysError) return error;
  throw new Error(`not refused: ${error}`);
}

async function ask(name: string, text: string): Promise<unknown> {
  const { kernel } = k;
  const request = new Request("http://app.localhost/", { method: "POST", body: text });
  const meta = { id: "req", address: null, userId: null, upgrade: null };
  const reply = await kernel.proc.fetch(kernel.app.get(name), request, meta);
  return await reply.json();
}

const write = { write: true };

describe("statements from outside", () => {
  beforeAll(async () => {
    await deploy("blog", { "0001_first.sql": first });
  });

  test("write, then read, by position and by name, while the app is open", async () => {
    expect(await ask("blog", "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    const insert = "INSERT INTO post (title) VALUES (?), (?)";
    expect(await sql("blog", insert, { params: ["a", "b"], ...write })).toEqual([
      { changes: 2, lastInsertRowid: 2 },
    ]);
    const named = { named: { title: "b" } };
    expect(await sql("blog", "SELECT id FROM post WHERE title = :title", named)).toEqual([
      { id: 2 },
    ]);
    expect(await sql("blog", "SELECT id FROM post WHERE title = $title", named)).toEqual([
      { id: 2 },
    ]);
    expect(await ask("blog", "SELECT count(*) AS n FROM post")).toEqual([{ n: 2 }]);
    const returning = "DELETE FROM post RETURNING id";
    expect(await sql("blog", returning, write)).toEqual([{ id: 1 }, { id: 2 }]);
  });

  test("values travel whole: bytes, large integers, columns of one name", async () => {
    const text =
      "SELECT ? AS b, 9007199254740993 AS big, 1 AS id, 2 AS id, ? AS t, NULL AS n, 1.5 AS r";
    const params = [{ base64: "AP8=" }, "é\u{1f600}"];
    expect(await sql("blog", text, { params })).toEqual([
      {
        b: { base64: "AP8=" },
        big: "9007199254740993",
        id: 1,
        "id:2": 2,
        t: "é\u{1f600}",
        n: null,
        r: 1.5,
      },
    ]);
    expect(await sql("blog", "SELECT typeof(?) AS t", { params: [7] })).toEqual([{ t: "integer" }]);
  });

  test("refusals: what, and with which errno", async () => {
    const cases: readonly (readonly [string, object, string])[] = [
      ["INSERT INTO post (title) VALUES ('x')", {}, "EROFS"],
      ["DELETE FROM post", {}, "EROFS"],
      ["SELEC 1", {}, "EINVAL"],
      ["SELECT 1; SELECT 2", {}, "EINVAL"],
      ["SELECT :a", { named: { b: 1 } }, "EINVAL"],
      ["SELECT ?", { params: [1, 2] }, "EINVAL"],
      ["ATTACH '/volume/other.db' AS o", write, "EINVAL"],
      ["BEGIN", write, "EINVAL"],
      ["PRAGMA journal_mode = DELETE", write, "EINVAL"],
      ["PRAGMA max_page_count = 100000000", write, "EINVAL"],
      ["INSERT INTO post (title) VALUES (NULL)", write, "EINVAL"],
      ["INSERT INTO post (title) VALUES (zeroblob(4000000))", write, "EDQUOT"],
      [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10001) SELECT i FROM n",
        {},
        "EFBIG",
      ],
      ["SELECT zeroblob(5000000) AS b", {}, "EFBIG"],
    ];
    for (const [text, rest, code] of cases) {
      expect([text, (await refusal(sql("blog", text, rest))).code]).toEqual([text, code]);
    }
    expect((await refusal(sql("none", "SELECT 1"))).code).toBe("ENOENT");
    await deployed(k, "site", { files: { "public/index.html": "<p>" } });
    expect((await refusal(sql("site", "SELECT 1"))).code).toBe("ENOENT");
    expect(await sql("blog", "SELECT count(*) AS n FROM post")).toEqual([{ n: 0 }]);
  });

  test("a caller who leaves ends the statement; the kernel goes on meanwhile", async () => {
    const endless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    const leaving = new AbortController();
    const input = { app: "blog", sql: endless };
    const asked = k.call("storage.sql", input, { signal: leaving.signal });
    await k.call("storage.kv.set", { app: "blog", key: "meanwhile", value: 1 });
    leaving.abort();
    expect((await refusal(asked)).code).toBe("ECANCELED");
  });

  test("EBUSY when the app keeps its transaction; a locked file is left as it was", async () => {
    await ask("blog", "BEGIN IMMEDIATE");
    const busy = sql("blog", "DELETE FROM post", write);
    expect((await refusal(busy)).code).toBe("EBUSY");
    await ask("blog", "ROLLBACK");
  }, 15_000);

  test("only a few at once", async () => {
    const asked = Array.from({ length: 12 }, () =>
      sql("blog", "SELECT 1 AS one").then(
        () => "OK",
        (error: SysError) => error.code,
      ),
    );
    expect(new Set(await Promise.all(asked))).toEqual(new Set(["OK", "EAGAIN"]));
  });
});

describe("the quota", () => {
  test("the app that meets it gets SQLITE_FULL; it and others go on", async () => {
    await deploy("full", { "0001.sql": "CREATE TABLE t (b BLOB);" });
    await deploy("other", { "0001.sql": "CREATE TABLE t (b BLOB);" });
    const refused = await ask("full", `INSERT INTO t VALUES (zeroblob(${quotaBytes}))`);
    expect(refused).toMatchObject({ code: "SQLITE_FULL" });
    expect(await ask("full", "SELECT count(*) AS n FROM t")).toEqual([{ n: 0 }]);
    expect(await ask("full", "INSERT INTO t VALUES (zeroblob(1000)) RETURNING 1 AS ok")).toEqual([
      { ok: 1 },
    ]);
    expect(await ask("other", "INSERT INTO t VALUES (zeroblob(1000)) RETURNING 1 AS ok")).toEqual([
      { ok: 1 },
    ]);
  });
});

describe("the guard", () => {
  /** What is no longer walled in, or was never: the directory is counted, whoever filled it. */
  const junk = {
    bytes: (dir: string) => writeFileSync(join(dir, "junk"), new Uint8Array(80 << 20).fill(1)),
    files: (dir: string) => {
      for (let i = 0; i < 1100; i++) writeFileSync(join(dir, `junk-${i}`), "");
    },
  };

  test.each(["bytes", "files"] as const)(
    "an app whose volume has too many %s is stopped, and its log says why",
    async (way) => {
      const files = { "server.js": "export default () => Response.json(1);" };
      const { id } = await deployed(k, `hoarder-${way}`, {
        files,
        manifest: { server: "server.js" },
      });
      await ask(`hoarder-${way}`, "");
      expect(await k.kernel.volume.guard()).toEqual([]);
      junk[way](k.kernel.storage.volumeDir(id));
      expect(await k.kernel.volume.guard()).toEqual([`hoarder-${way}`]);
      const [status] = await k.call<{ state: string }[]>("proc.status", { app: `hoarder-${way}` });
      const reason = expect.stringMatching(/^stopped: its volume has (over 1000 files|\d+ bytes)/);
      expect(status).toMatchObject({ state: "stopped", reason });
      expect(await ask("blog", "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    },
  );
});

describe("migrations", () => {
  const second =
    "ALTER TABLE post ADD COLUMN stars INTEGER;\nINSERT INTO post (title) VALUES ('two');";

  test("are applied in order, once, before the switch, and recorded", async () => {
    await deploy("wiki", { "0002_second.sql": second, "0001_first.sql": first });
    expect(await ask("wiki", "SELECT title FROM post")).toEqual([{ title: "two" }]);
    await deploy("wiki", { "0001_first.sql": first, "0002_second.sql": second });
    expect(await ask("wiki", "SELECT count(*) AS n FROM post")).toEqual([{ n: 1 }]);
    const applied = await sql("wiki", "SELECT name, length(hash) AS hash FROM _fazt_migration");
    expect(applied).toEqual([
      { name: "0001_first.sql", hash: 64 },
      { name: "0002_second.sql", hash: 64 },
    ]);
  });

  const broken: readonly (readonly [string, Record<string, string>, RegExp])[] = [
    [
      "fails in its second file",
      { "0003.sql": "INSERT INTO post (title) VALUES ('three');", "0004.sql": "SELEC 1;" },
      /"0004.sql".*SELEC/,
    ],
    ["has changed", { "0002_second.sql": `${second} ` }, /"0002_second.sql".*has changed/],
    ["comes too late", { "0001_zz.sql": "SELECT 1;" }, /"0001_zz.sql".*sorts before/],
    [
      "commits",
      { "0003.sql": "DELETE FROM post; COMMIT; SELECT 1;" },
      /"0003.sql".*not authorized/,
    ],
    ["attaches", { "0003.sql": "ATTACH '/volume/x' AS x;" }, /"0003.sql".*not authorized/],
    [
      "is over the quota",
      { "0003.sql": `INSERT INTO post (title) VALUES (zeroblob(${quotaBytes}));` },
      /"0003.sql".*full/,
    ],
  ];

  test.each(broken)(
    "one that %s fails the deploy and changes nothing",
    async (_, files, message) => {
      const before = await k.call<{ current: { id: string } }>("app.info", { app: "wiki" });
      const all = { "0001_first.sql": first, "0002_second.sql": second, ...files };
      const refused = await refusal(deploy("wiki", all));
      expect(refused.code).toBe("ENOEXEC");
      expect(refused.message).toMatch(message);
      expect(await ask("wiki", "SELECT count(*) AS n FROM post")).toEqual([{ n: 1 }]);
      expect(await sql("wiki", "SELECT count(*) AS n FROM _fazt_migration")).toEqual([{ n: 2 }]);
      const after = await k.call<{ current: { id: string } }>("app.info", { app: "wiki" });
      expect(after.current).toEqual(before.current);
    },
  );

  test("a release that fails its proof on a copy leaves the volume as it was, and the old one serves", async () => {
    const migrations = { "0001_first.sql": first };
    await deploy("fickle", migrations);
    await sql("fickle", "INSERT INTO post (title) VALUES ('kept')", write);
    const failing = `
      import { kernel } from "fazt";
      const titles = kernel.storage.sql().query("SELECT title, stars FROM post").all();
      throw new Error("cannot live with " + JSON.stringify(titles));`;
    const files = {
      "server.js": failing,
      "migrations/0001_first.sql": first,
      "migrations/0002.sql": "ALTER TABLE post ADD COLUMN stars INTEGER; DELETE FROM post WHERE 0;",
    };
    const manifest = { server: "server.js" };
    const refused = await refusal(deployed(k, "fickle", { files, manifest }));
    // It saw the data with the new schema, and neither is left.
    expect(refused.code).toBe("ENOEXEC");
    expect(refused.message + refused.hint).toContain('[{"title":"kept","stars":null}]');
    const columns = "SELECT name FROM pragma_table_info('post')";
    expect(await ask("fickle", columns)).toEqual([{ name: "id" }, { name: "title" }]);
    expect(await sql("fickle", "SELECT name FROM _fazt_migration")).toHaveLength(1);
    expect(readdirSync(join(k.dataDir, "run", "trial"))).toEqual([]);

    // The same migration with a release that starts is applied, to the data as it is by then.
    await sql("fickle", "INSERT INTO post (title) VALUES ('later')", write);
    await deploy("fickle", { ...migrations, "0002.sql": files["migrations/0002.sql"] });
    expect(await ask("fickle", "SELECT title, stars FROM post")).toEqual([
      { title: "kept", stars: null },
      { title: "later", stars: null },
    ]);
  });

  test("a rollback leaves what a later release applied", async () => {
    await deploy("wiki", {
      "0001_first.sql": first,
      "0002_second.sql": second,
      "0003.sql": "CREATE TABLE x (a);",
    });
    await k.call("app.rollback", { app: "wiki" });
    expect(await sql("wiki", "SELECT count(*) AS n FROM x")).toEqual([{ n: 0 }]);
    await deploy("wiki", {
      "0001_first.sql": first,
      "0002_second.sql": second,
      "0003.sql": "CREATE TABLE x (a);",
    });
  });
});
