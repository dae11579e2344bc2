/** What people and programs get wrong, or try: a clear refusal, and the app as it was. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { CallRefused, type Ended, type KernelProcess, run, startProcess } from "../process.ts";

const mb = 1024 * 1024;
let machine: KernelProcess;
let dir: string;

beforeAll(async () => {
  machine = await startProcess();
  dir = machine.scratch("site");
  mkdirSync(join(dir, "public"));
  writeFileSync(join(dir, "public/index.html"), "one");
  await machine.faztJson("app", "deploy", dir);
});
afterAll(() => machine[Symbol.asyncDispose]());

/** Deploys the folder as `prepare` leaves it, and expects the app as it was before. */
async function refusedDeploy(prepare: (dir: string) => () => void): Promise<Ended> {
  const undo = prepare(dir);
  const ended = await machine.fazt("app", "deploy", dir);
  undo();
  expect(ended.stdout).toBe("");
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(/^fazt: E[A-Z]+: .*\nhint: /);
  await asBefore();
  return ended;
}

async function asBefore(): Promise<void> {
  expect(await (await machine.fetch("site", "/")).text()).toBe("one");
  expect(await machine.call<object[]>("app.releases", { app: "site" })).toHaveLength(1);
}

const withFile = (path: string, content: string) => (at: string) => {
  writeFileSync(join(at, path), content);
  return () => rmSync(join(at, path));
};
const withLink = (path: string, to: string) => (at: string) => {
  symlinkSync(to, join(at, path));
  return () => rmSync(join(at, path));
};
/** A file of any size that takes no room. */
const withSparse = (path: string, sizeBytes: number) => (at: string) => {
  openSync(join(at, path), "w");
  truncateSync(join(at, path), sizeBytes);
  return () => rmSync(join(at, path));
};

describe("app.json", () => {
  const wrong: [string, string][] = [
    ['{"nmae": "site"}', 'unknown key "nmae"'],
    ['{"nmae": "site"}', 'did you mean "name"?'],
    ['{"colour": "red"}', 'unknown key "colour"'],
    ['{"spa": "yes"}', '"spa" must be true or false, not a string'],
    ['{"memory": 128}', '"memory" must be a string, not a number'],
    ['{"memory": "lots"}', '"memory" must be a size such as "128M"'],
    ['{"cpu": 1.5}', '"cpu" must be a whole number'],
    ['{"routes": "a.example"}', '"routes" must be an array, not a string'],
    [
      '{"redirects": [{"from": "/a", "to": "/b", "code": 301}]}',
      'unknown key "code" in "redirects[0]"',
    ],
    ['{"cron": [{"schedule": "* * * * *", "path": 7}]}', '"cron[0].path" must be a string'],
    ['{"env": {"PATH": "/tmp"}}', '"env.PATH" is read by the system itself'],
    ['{"server": "../server.ts"}', '"server" must be a path inside the app'],
    ['{"name": "Site!"}', '"name" must be'],
    ["[]", "must be an object, not an array"],
    ['{"name": "site",}', "line 1, column 17"],
    ["// my app\n{}", "line 1, column 1"],
  ];

  test.each(wrong)("%s: %s", async (text, message) => {
    const { stderr } = await refusedDeploy(withFile("app.json", text));
    expect(stderr).toContain(message);
  });

  test("the kernel checks again: a client of one's own is refused the same", async () => {
    const files = [{ path: "x", hash: "0".repeat(64), sizeBytes: 1 }];
    const deploy = (manifest: object) =>
      machine.call("app.deploy", { name: "site", manifest, files }).then(
        () => "done",
        (error: CallRefused) => `${error.status} ${error.message}`,
      );
    expect(await deploy({ nmae: "x" })).toMatch(/^400 EINVAL: .*"?nmae/);
    expect(await deploy({ spa: "yes" })).toMatch(/^400 EINVAL: .*spa/);
    await asBefore();
  });
});

describe("paths", () => {
  const paths = [
    "../x",
    "a/../../x",
    "a/..",
    "/etc/passwd",
    "a\0b",
    "a\\..\\b",
    "",
    "a//b",
    "./x",
    "a/",
    `${"d/".repeat(3000)}x`,
    "n".repeat(256),
  ];
  test.each(paths)("%j is refused as a file of a release", async (path) => {
    const file = new Blob(["x"]);
    const { hash, sizeBytes } = await machine.call<{ hash: string; sizeBytes: number }>(
      ...["fs.blob.put", {}, file],
    );
    const files = [{ path, hash, sizeBytes }];
    const refused = machine.call("app.deploy", { name: "site", manifest: {}, files });
    await expect(refused).rejects.toMatchObject({ status: 400, body: { code: "EINVAL" } });
    await asBefore();
  });

  test.each(["/home/../etc/passwd", "home", "/home/a\0b", "/..", "/home/./../x", "//../x"])(
    "%j is refused as a path of the tree, or is nothing",
    async (path) => {
      for (const call of ["fs.stat", "fs.ls", "fs.mkdir", "fs.rm"]) {
        const refused = await machine.call(call, { path }).catch((error: CallRefused) => error);
        expect(refused).toBeInstanceOf(CallRefused);
        expect(["EINVAL", "ENOENT"]).toContain((refused as CallRefused).body.code);
      }
    },
  );

  test.each([
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2f..%2fetc/passwd",
    "/..%5c..%5cetc/passwd",
    "/public/../../../etc/passwd",
    "/%00",
    "/index.html%00.png",
    "//etc/passwd",
    "/%c0%ae%c0%ae/etc/passwd",
    "/%",
    "/%zz",
    `/${"a/".repeat(4000)}`,
  ])("a request for %s gets no file", async (path) => {
    const url = `${machine.url("site", "")}${path}`;
    const { stdout } = await machine.curl("--path-as-is", "--write-out", "\n%{http_code}", url);
    expect(stdout).not.toContain("root:");
    expect(stdout).toMatch(/\n4\d\d$/);
    await asBefore();
  });
});

describe("symbolic links", () => {
  test("that leave the app are refused by name", async () => {
    const { stderr } = await refusedDeploy(withLink("public/passwd", "/etc/passwd"));
    expect(stderr).toContain('"public/passwd": symbolic link leaves the app');
    const folder = await refusedDeploy(withLink("public/up", "../../.."));
    expect(folder.stderr).toContain('"public/up": symbolic link leaves the app');
  });

  test("that lead nowhere, or to a folder they are in, are refused", async () => {
    const nowhere = await refusedDeploy(withLink("public/none", "none-such"));
    expect(nowhere.stderr).toContain("leads nowhere");
    const loop = await refusedDeploy(withLink("public/loop", "."));
    expect(loop.stderr).toContain("leads to a folder that holds it");
    const pair = await refusedDeploy((at) => {
      const [one, two] = [withLink("public/a", "b")(at), withLink("public/b", "a")(at)];
      return () => {
        one();
        two();
      };
    });
    expect(pair.stderr).toContain("leads nowhere");
  });
});

describe("too much", () => {
  test("100,000 files", async () => {
    const many = join(dir, "public/many");
    const { stderr } = await refusedDeploy(() => {
      mkdirSync(many);
      for (let n = 0; n < 100_000; n++) writeFileSync(join(many, String(n)), "");
      return () => rmSync(many, { recursive: true });
    });
    expect(stderr).toContain("cannot deploy more than 50000 files");
  }, 120_000);

  test("100,000 files from a client of one's own", async () => {
    const hash = new Bun.CryptoHasher("sha256").update("one").digest("hex");
    const deploy = (count: number) => {
      const file = (n: number) => ({ path: `f${n}`, hash, sizeBytes: 3 });
      const files = Array.from({ length: count }, (_, n) => file(n));
      return machine.call("app.deploy", { name: "site", manifest: {}, files });
    };
    await expect(deploy(60_000)).rejects.toMatchObject({ body: { code: "EINVAL" } });
    await expect(deploy(100_000)).rejects.toMatchObject({ status: 413, body: { code: "EFBIG" } });
    await asBefore();
  });

  test("a file of 1 TB that takes no room is refused before it is read", async () => {
    const { stderr } = await refusedDeploy(withSparse("public/huge.bin", 1024 ** 4));
    expect(stderr).toContain('"public/huge.bin": 1099511627776 bytes');
  });

  test("many large files of nothing are refused before they are read", async () => {
    const startedMs = performance.now();
    const { stderr } = await refusedDeploy((at) => {
      const undo = Array.from({ length: 40 }, (_, n) =>
        withSparse(`public/${n}.bin`, 100 * mb)(at),
      );
      return () => {
        for (const one of undo) one();
      };
    });
    expect(stderr).toContain("EFBIG");
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  test("what is within the limits and all the same is stored once", async () => {
    const fat = machine.scratch("fat");
    mkdirSync(join(fat, "public"));
    writeFileSync(join(fat, "public/index.html"), "fat");
    for (let n = 0; n < 5; n++) withSparse(`public/${n}.bin`, 90 * mb)(fat);
    const before = await databaseBytes();
    const result = await machine.faztJson<{ uploadedBytes: number }>("app", "deploy", fat);
    expect(result.uploadedBytes).toBeLessThan(91 * mb);
    expect((await databaseBytes()) - before).toBeLessThan(110 * mb);
    await machine.call("app.rm", { app: "fat", purge: true });
  }, 60_000);

  test("a body without end is cut off, stored nowhere and held nowhere", async () => {
    const before = rssBytes(machine.pid);
    const put = await endless("/sys/fs/blob/put");
    expect(put.stdout).toContain("EFBIG");
    expect(put.stdout).toMatch(/\n413$/);
    const claimed = `/sys/fs/blob/put?input=${encodeURIComponent(JSON.stringify({ hash: "0".repeat(64) }))}`;
    expect((await endless(claimed)).stdout).toMatch(/\n413$/);
    const json = await endless("/sys/app/ls");
    expect(json.stdout).toMatch(/\n4\d\d$/);
    expect(rssBytes(machine.pid) - before).toBeLessThan(200 * mb);
    const check = await machine.call<{ ok: boolean }>("storage.check");
    expect(check.ok).toBe(true);
    await asBefore();
  }, 120_000);

  test("a frame that claims more, or less, than there is", async () => {
    const frame = (sizeBytes: number, content: string) => {
      const head = new Uint8Array(36);
      head.set(new Bun.CryptoHasher("sha256").update(content).digest());
      new DataView(head.buffer).setUint32(32, sizeBytes);
      return new Blob([head, content]);
    };
    const sent = (body: Blob) =>
      machine.call("fs.blob.putMany", {}, body).then(
        () => "done",
        (error: CallRefused) => error.body.code,
      );
    expect(await sent(frame(2 ** 32 - 1, "short"))).toBe("EBADMSG");
    expect(await sent(frame(100, "short"))).toBe("EBADMSG");
    expect(await sent(frame(1, "longer"))).toBe("EBADMSG");
    expect(await sent(new Blob(["x"]))).toBe("EBADMSG");
    expect(await sent(frame(5, "right"))).toBe("done");
  });
});

/** Sends zeros to a path of the OS host until the kernel has had enough. */
function endless(path: string): Promise<Ended> {
  const url = machine.url("os", path);
  const to = `::127.0.0.1:${machine.port}`;
  const curl = `curl -sS --max-time 60 --connect-to ${to} -X POST -T - -w '\\n%{http_code}'`;
  const token = `-H 'Authorization: Bearer ${machine.token}'`;
  return run(["sh", "-c", `${curl} ${token} '${url}' </dev/zero`]);
}

async function databaseBytes(): Promise<number> {
  const file = (name: string) =>
    statSync(join(machine.dataDir, name), { throwIfNoEntry: false })?.size ?? 0;
  return file("data.db");
}

function rssBytes(pid: number): number {
  const [, kb] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kb) * 1024;
}
