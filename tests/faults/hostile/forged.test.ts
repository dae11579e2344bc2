/**
 * Who pretends to be somebody else, or somewhere else: visitors with headers that only the kernel
 * sets, and releases whose files have names and links that lead out of them.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type Dirent,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { CallRefused } from "../../process.ts";
import { openPlace, type Place } from "./place.ts";

let place: Place;
beforeAll(async () => {
  place = await openPlace();
}, 30_000);
afterAll(() => place[Symbol.asyncDispose]());

const marks = {
  "x-fazt-event": "app:neighbour.order.paid",
  "x-fazt-event-id": "1",
  "x-fazt-event-at": "1",
  "x-fazt-schedule": "remind",
  "x-fazt-cron": "* * * * *",
  "x-fazt-user": "usr_owner",
  "x-fazt-app": "neighbour",
};
const claims = {
  "x-forwarded-for": "203.0.113.9",
  "x-forwarded-host": "os.localhost",
  "x-forwarded-user": "owner",
  "x-real-ip": "203.0.113.9",
  forwarded: "for=203.0.113.9",
  "x-request-id": "req_forged",
};

describe("a visitor", () => {
  test("is who the connection says, whatever its headers claim", async () => {
    const headers = { ...marks, ...claims };
    const reply = await place.machine.fetch("neighbour", "/who", { headers });
    const who = (await reply.json()) as { headers: Record<string, string> };
    expect(who).toMatchObject({ user: null, ip: "127.0.0.1", app: "neighbour" });
    const told = JSON.stringify(who.headers);
    for (const lie of ["203.0.113.9", "req_forged", "usr_owner", "x-fazt-", '"owner"']) {
      expect(told).not.toContain(lie);
    }
    expect(who.headers["x-forwarded-host"]).not.toBe("os.localhost");
  });

  test("cannot make an event by its headers; only the app itself can", async () => {
    for (const path of ["/", "/heard", "/events"]) {
      const body = JSON.stringify("forged");
      await place.machine.fetch("neighbour", path, { method: "POST", headers: marks, body });
    }
    expect((await place.ask("neighbour", "/pay")).text).toBe("paid");
    await place.heard("true one");
    expect((await place.ask("neighbour", "/heard")).text).toBe('["true one"]');
  });

  test("cannot call the kernel through an app's host, or with an app's name", async () => {
    const asked = { method: "POST", body: "{}" };
    const headers = { ...marks, authorization: "Bearer neighbour", cookie: "fazt=owner" };
    const through = await place.machine.fetch("neighbour", "/sys/app/ls", { ...asked, headers });
    expect(await through.text()).not.toContain("rel_");
    const direct = await place.machine.fetch("os", "/sys/app/ls", { ...asked, headers });
    expect(direct.status).toBe(401);
  });
});

describe("a release", () => {
  const leaving = {
    "up and out": "../../outside.txt",
    "up from its folder": "public/../../outside.txt",
    absolute: "/etc/outside.txt",
    "a dot": "./outside.txt",
    "an empty part": "public//outside.txt",
    "a NUL": "public/outside.txt\0.html",
    nothing: "",
    "a folder": "public/",
  };
  for (const [name, path] of Object.entries(leaving)) {
    test(`has no file whose path is ${name}`, async () => {
      const watch = place.watch();
      const call = deployOf([path]);
      expect(await call.catch((error: unknown) => codeOf(error))).toBe("EINVAL");
      await watch.end();
    });
  }

  test("has no file twice, and none that is a folder as well", async () => {
    for (const paths of [
      ["public/a", "public/a"],
      ["public/a", "public/a/b"],
    ]) {
      expect(await deployOf(paths).catch((error: unknown) => codeOf(error))).toBe("EINVAL");
    }
  });

  test("holds no links and no devices, whatever its mode says", async () => {
    for (const mode of [0o120777, 0o060666, 0o104755]) {
      expect(await deployOf(["server.js"], mode).catch((error) => codeOf(error))).toBe("EINVAL");
    }
  });

  test("is not made of links that leave its folder: refused by name, before anything is sent", async () => {
    const links = {
      file: "/etc/passwd",
      folder: "/etc",
      relative: "../../../../../../etc/passwd",
      kernel: join(place.machine.dataDir, "machine.key"),
    };
    for (const [name, target] of Object.entries(links)) {
      const dir = place.folder("silent");
      mkdirSync(join(dir, "public"), { recursive: true });
      const link = `link-${name}`;
      symlinkSync(target, join(dir, "public", link));
      const { code, stderr } = await place.machine.fazt("app", "deploy", dir, "--name", "linked");
      expect([code, stderr.includes("EINVAL"), stderr.includes(link)]).toEqual([1, true, true]);
      rmSync(join(dir, "public"), { recursive: true });
    }
    const apps = await place.machine.call<{ name: string }[]>("app.ls");
    expect(apps.map(({ name }) => name)).not.toContain("linked");
  });

  test("takes what a hard link leads to as a copy: nothing it does reaches the other name", async () => {
    const secret = join(place.machine.scratch("elsewhere"), "secret.txt");
    writeFileSync(secret, "before");
    const dir = place.folder("neighbour-copy", { from: "silent" });
    mkdirSync(join(dir, "public"));
    for (const name of ["one.txt", "two.txt"]) linkSync(secret, join(dir, "public", name));
    await place.machine.faztJson("app", "deploy", dir);
    writeFileSync(secret, "after");
    for (const name of ["one.txt", "two.txt"]) {
      const reply = await place.ask("neighbour-copy", `/${name}`);
      expect(reply).toEqual({ status: 200, text: "before" });
    }
    // What its process sees on the host is files of the kernel's own.
    await place.ask("neighbour-copy", "/");
    const releases = join(place.machine.dataDir, "run", "releases");
    const files = readdirSync(releases, { recursive: true, withFileTypes: true });
    const inodes = files.filter((file) => file.isFile()).map((file) => statOf(file));
    expect(inodes.length).toBeGreaterThan(0);
    expect(inodes.map(({ ino }) => ino)).not.toContain(statSync(secret).ino);
    expect(inodes.filter(({ nlink }) => nlink !== 1)).toEqual([]);
  });

  test("left nothing outside of its place", () => {
    const { dataDir } = place.machine;
    for (const dir of [dataDir, join(dataDir, "run"), join(dataDir, "run", "releases"), "/etc"]) {
      expect(existsSync(join(dir, "outside.txt"))).toBe(false);
    }
  });
});

describe("a database that is none", () => {
  test("is told to its owner, and stops nobody else's backup", async () => {
    await place.deploy("links");
    const watch = place.watch();
    expect((await place.ask("links", "/rubbish")).text).toStartWith("DONE");
    const asked = await place.machine.fazt(
      "storage",
      "sql",
      "links",
      "SELECT 1 FROM sqlite_schema",
    );
    expect([asked.code, asked.stderr.split(":")[1]?.trim()]).toEqual([1, "EBADMSG"]);
    const file = join(place.machine.scratch("backup"), "all.backup");
    expect((await place.machine.fazt("storage", "backup", file)).code).toBe(0);
    await watch.end();
  }, 60_000);
});

const statOf = (file: Dirent) => statSync(join(file.parentPath, file.name));

/** Deploys a release with these paths, by the calls and not by our own command. */
async function deployOf(paths: readonly string[], mode = 0o644): Promise<unknown> {
  const text = "export default { fetch: () => new Response('x') };\n";
  const { machine } = place;
  const blob = await machine.call<{ hash: string; sizeBytes: number }>("fs.blob.put", {}, text);
  const files = ["server.js", ...paths].map((path) => ({ path, mode, ...blob }));
  if (paths.includes("server.js")) files.shift();
  return machine.call("app.deploy", { name: "crooked", manifest: { server: "server.js" }, files });
}

function codeOf(error: unknown): string {
  if (error instanceof CallRefused) return error.body.code;
  throw error;
}
