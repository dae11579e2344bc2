/**
 * How each errno that a call declares is brought about on a real, claimed kernel: the table that
 * `errno.test.ts` walks. A call may answer nothing that is not here, and what is here must happen.
 *
 * A case is call, errno and input, or work of its own where one call is not enough. What needs the
 * machine before its claim, or a full disk, is in the lists below the table.
 */
import { anonymous, type Caller, localOwner } from "../../kernel/caller.ts";
import { limits as fsLimits } from "../../kernel/fs/limits.ts";
import { routesMax } from "../../kernel/net/limits.ts";
import { tokensMax, usersMax } from "../../kernel/security/limits.ts";
import { deployed, okServer, storedFiles } from "../deployed.ts";
import { type TestKernel, testKernel, testRootPass } from "../kernel.ts";
import {
  body,
  type Case,
  password,
  serverManifest,
  sessionOf,
  user,
  type World,
} from "./errno-world.ts";

const zeros = "0".repeat(64);
const mb = 1024 * 1024;
const stranger = anonymous("192.0.2.7");

/** The owner by a token away from the machine, as far as security can tell. */
const away = (address: string): Caller => ({ ...localOwner("socket"), via: "token", address });
/** Somebody who may administer security and nothing else. */
const clerk: Caller = {
  ...away("192.0.2.8"),
  kind: "user",
  userId: "usr_clerk",
  grants: ["security:*"],
};

const frame = (sizeBytes: number) => {
  const head = new Uint8Array(36);
  new DataView(head.buffer).setUint32(32, sizeBytes);
  return head;
};
/** One byte more than a file may have, a piece at a time. */
const endless = () => {
  let left = fsLimits.fileBytesMax / mb + 1;
  const pull = (to: ReadableStreamDefaultController<Uint8Array>) =>
    left-- > 0 ? to.enqueue(new Uint8Array(mb)) : to.close();
  return { body: new ReadableStream<Uint8Array>({ pull }) };
};

const sql = (k: TestKernel, text: string, ...values: (string | number)[]) =>
  k.kernel.storage.write((tx) => tx.run(text, ...values));

/** Fills /home's tree to its limit for the time of one call. */
async function withFullTree(k: TestKernel, column: "used_bytes" | "inodes", work: () => unknown) {
  const full = column === "inodes" ? fsLimits.treeInodesMax : fsLimits.homeBytesMax;
  const [before] = k.kernel.storage.read.all<{ n: number }>(
    `SELECT ${column} AS n FROM fs_tree WHERE root = 'home'`,
  );
  await sql(k, `UPDATE fs_tree SET ${column} = ? WHERE root = 'home'`, full);
  try {
    return await work();
  } finally {
    await sql(k, `UPDATE fs_tree SET ${column} = ? WHERE root = 'home'`, before?.n ?? 0);
  }
}

/** Breaks the seal of a secret of the app for the time of one call. */
async function withBrokenSecret({ k }: World, work: () => Promise<unknown>) {
  await k.call("app.env.set", { app: "server", name: "KEY", secret: "s3cret" });
  await sql(k, "UPDATE app_env SET sealed = x'00' WHERE name = 'KEY'");
  try {
    return await work();
  } finally {
    await k.call("app.env.rm", { app: "server", name: "KEY" });
  }
}

/** Makes a call while a deploy of the app is under way, which its server draws out. */
async function whileDeploying({ k }: World, work: () => Promise<unknown>) {
  const files = {
    "server.js": `await new Promise((done) => setTimeout(done, 1500));\n${okServer}`,
  };
  const stored = await storedFiles(k, files);
  const input = { name: "server", manifest: { server: "server.js" }, files: stored };
  const underWay = k.call("app.deploy", input);
  try {
    return await work();
  } finally {
    await underWay;
  }
}

const brokenServer = { files: { "server.js": "throw new Error('no');" } };

const proc: Case[] = [
  ["proc.status", "ENOENT", { app: "none" }],
  ["proc.startApp", "ENOENT", { app: "none" }],
  ["proc.startApp", "ENOEXEC", { app: "site" }],
  ["proc.stop", "ENOENT", { app: "none" }],
  ["proc.stop", "ENOEXEC", { app: "site" }],
  ["proc.restart", "ENOENT", { app: "none" }],
  ["proc.restart", "ENOEXEC", { app: "site" }],
  [
    "proc.restart",
    "EBADMSG",
    async (w) => {
      await w.k.call("proc.startApp", { app: "server" });
      return withBrokenSecret(w, () => w.k.call("proc.restart", { app: "server" }));
    },
  ],
  ["proc.kill", "ENOENT", { app: "none" }],
  ["proc.kill", "ESRCH", { app: "site" }],
  ["proc.logs", "ENOENT", ({ k }) => firstLine(k, "proc.logs", { app: "none" })],
];

/** A stream of lines refuses when its first line is asked for. */
async function firstLine(k: TestKernel, call: string, input: object): Promise<unknown> {
  const lines = await k.call<AsyncIterable<unknown>>(call, input);
  return lines[Symbol.asyncIterator]().next();
}

const app: Case[] = [
  ["app.info", "ENOENT", { app: "none" }],
  ["app.releases", "ENOENT", { app: "none" }],
  [
    "app.deploy",
    "ENOENT",
    { name: "site", manifest: {}, files: [{ path: "x", hash: zeros, sizeBytes: 1 }] },
  ],
  [
    "app.deploy",
    "EFBIG",
    { name: "site", manifest: {}, files: [{ path: "x", hash: zeros, sizeBytes: 101 * mb }] },
  ],
  [
    "app.deploy",
    "EBUSY",
    (w) => whileDeploying(w, () => deployed(w.k, "server", { files: { "a.html": "a" } })),
  ],
  [
    "app.deploy",
    "EBADMSG",
    (w) =>
      withBrokenSecret(w, () =>
        deployed(w.k, "server", { files: { "server.js": okServer }, manifest: serverManifest }),
      ),
  ],
  [
    "app.deploy",
    "ENOEXEC",
    ({ k }) => deployed(k, "server", { ...brokenServer, manifest: serverManifest }),
  ],
  [
    "app.deploy",
    "ECANCELED",
    ({ k }) => deployed(k, "site", { files: { "a.html": "a" }, signal: AbortSignal.abort() }),
  ],
  ["app.rollback", "ENOENT", { app: "site", release: "99" }],
  [
    "app.rollback",
    "EBUSY",
    (w) => whileDeploying(w, () => w.k.call("app.rollback", { app: "server", release: "1" })),
  ],
  [
    "app.rollback",
    "EBADMSG",
    (w) => withBrokenSecret(w, () => w.k.call("app.rollback", { app: "server", release: "1" })),
  ],
  [
    "app.rollback",
    "ENOEXEC",
    async ({ k }) => {
      await k.call("app.env.set", { app: "server", name: "BROKEN", value: "1" });
      const refused = k.call("app.rollback", { app: "server", release: "1" });
      return refused.finally(() => k.call("app.env.rm", { app: "server", name: "BROKEN" }));
    },
  ],
  ["app.rollback", "ECANCELED", { app: "site" }, () => ({ signal: AbortSignal.abort() })],
  ["app.rename", "ENOENT", { app: "none", to: "some" }],
  ["app.rename", "EEXIST", { app: "site", to: "server" }],
  [
    "app.rename",
    "EBUSY",
    (w) => whileDeploying(w, () => w.k.call("app.rename", { app: "server", to: "s2" })),
  ],
  ["app.rm", "ENOENT", { app: "none" }],
  ["app.rm", "EBUSY", (w) => whileDeploying(w, () => w.k.call("app.rm", { app: "server" }))],
  ["app.env.ls", "ENOENT", { app: "none" }],
  ["app.env.set", "ENOENT", { app: "none", name: "A", value: "1" }],
  ["app.env.set", "EFBIG", { app: "site", name: "A", value: "x".repeat(65 * 1024) }],
  [
    "app.env.set",
    "EDQUOT",
    async ({ k, owner }) => {
      const { id } = k.kernel.app.get("other");
      const many = Array.from({ length: 200 }, (_, i) => ({
        name: `V${i}`,
        value: "",
        secret: false,
      }));
      await k.kernel.app.env.set(id, many, owner);
      return k.call("app.env.set", { app: "other", name: "ONE_MORE", value: "" });
    },
  ],
  ["app.env.rm", "ENOENT", { app: "site", name: "NONE" }],
];

const fs: Case[] = [
  ["fs.stat", "ENOENT", { path: "/home/none" }],
  ["fs.ls", "ENOENT", { path: "/home/none" }],
  ["fs.ls", "ENOTDIR", { path: "/home/file" }],
  ["fs.read", "ENOENT", { path: "/home/none" }],
  ["fs.read", "EISDIR", { path: "/home/dir" }],
  ["fs.write", "ENOENT", { path: "/home/none/x" }],
  ["fs.write", "ENOTDIR", { path: "/home/file/x" }],
  ["fs.write", "EISDIR", { path: "/home/dir" }],
  ["fs.write", "EROFS", { path: "/apps/site/x" }, body("x")],
  [
    "fs.write",
    "EDQUOT",
    ({ k }) =>
      withFullTree(k, "used_bytes", () => k.call("fs.write", { path: "/home/x" }, body("xy")())),
  ],
  ["fs.write", "EFBIG", { path: "/home/large" }, endless],
  ["fs.mkdir", "ENOENT", { path: "/home/none/x" }],
  ["fs.mkdir", "ENOTDIR", { path: "/home/file/x" }],
  ["fs.mkdir", "EEXIST", { path: "/home/dir" }],
  ["fs.mkdir", "EROFS", { path: "/apps/site/x" }],
  [
    "fs.mkdir",
    "EDQUOT",
    ({ k }) => withFullTree(k, "inodes", () => k.call("fs.mkdir", { path: "/home/more" })),
  ],
  ["fs.mv", "ENOENT", { from: "/home/none", to: "/home/x" }],
  ["fs.mv", "ENOTDIR", { from: "/home/dir", to: "/home/file" }],
  ["fs.mv", "EISDIR", { from: "/home/file", to: "/home/dir" }],
  ["fs.mv", "ENOTEMPTY", { from: "/home/empty", to: "/home/dir" }],
  ["fs.mv", "EBUSY", { from: "/home", to: "/data/site/x" }],
  ["fs.mv", "EROFS", { from: "/apps/site/public/index.html", to: "/home/x" }],
  [
    "fs.mv",
    "EDQUOT",
    ({ k }) =>
      withFullTree(k, "used_bytes", () =>
        k.call("fs.mv", { from: "/data/site/kept", to: "/home/kept" }),
      ),
  ],
  ["fs.cp", "ENOENT", { from: "/home/none", to: "/home/x" }],
  ["fs.cp", "ENOTDIR", { from: "/home/dir", to: "/home/file" }],
  ["fs.cp", "EISDIR", { from: "/home/file", to: "/home/dir" }],
  ["fs.cp", "EROFS", { from: "/home/file", to: "/apps/site/x" }],
  [
    "fs.cp",
    "EDQUOT",
    ({ k }) =>
      withFullTree(k, "used_bytes", () => k.call("fs.cp", { from: "/home/file", to: "/home/f2" })),
  ],
  ["fs.rm", "ENOENT", { path: "/home/none" }],
  ["fs.rm", "ENOTEMPTY", { path: "/home/dir" }],
  ["fs.rm", "EBUSY", { path: "/home", recursive: true }],
  ["fs.rm", "EROFS", { path: "/apps/site/public/index.html" }],
  ["fs.du", "ENOENT", { path: "/home/none" }],
  ["fs.du", "ECANCELED", { path: "/home" }, () => ({ signal: AbortSignal.abort() })],
  ["fs.find", "ENOENT", ({ k }) => firstLine(k, "fs.find", { path: "/home/none" })],
  ["fs.blob.put", "EBADMSG", { hash: zeros }, body("x")],
  ["fs.blob.put", "EFBIG", {}, endless],
  ["fs.blob.putMany", "EBADMSG", {}, body(frame(1), "x")],
  ["fs.blob.putMany", "EFBIG", {}, body(frame(101 * mb), new Uint8Array(101 * mb))],
];

const net: Case[] = [
  ["net.route.add", "EEXIST", { host: "taken.example", app: "site" }],
  ["net.route.add", "EINVAL", { host: "x.example:80", app: "site" }],
  ["net.route.add", "ENOENT", { host: "x.example", app: "none" }],
  [
    "net.route.add",
    "EDQUOT",
    async () => {
      const empty = await testKernel();
      const { id } = await deployed(empty, "many", { files: { "index.html": "" } });
      const insert = "INSERT INTO net_route VALUES (?, ?, NULL, 'added', 1)";
      await empty.kernel.storage.write((tx) => {
        for (let i = 0; i < routesMax; i++) tx.run(insert, `h${i}.example`, id);
      });
      await using k = await empty.reboot();
      return await k.call("net.route.add", { host: "more.example", app: "many" });
    },
  ],
  ["net.route.rm", "ENOENT", { host: "none.example" }],
  ["net.route.rm", "EINVAL", { host: "site.localhost" }],
];

const storage: Case[] = [
  ["storage.limit.set", "ENOENT", { name: "storage.none", value: 1 }],
  ["storage.limit.set", "ERANGE", { name: "storage.diskUsedMax", value: 7 }],
  ["storage.kv.get", "ENOENT", { app: "none", key: "a" }],
  ["storage.kv.set", "ENOENT", { app: "none", key: "a", value: 1 }],
  ["storage.kv.set", "ESTALE", { app: "site", key: "text", value: 1, ifVersion: 77 }],
  ["storage.kv.set", "EFBIG", { app: "site", key: "a", value: "x".repeat(mb) }],
  ["storage.kv.rm", "ENOENT", { app: "none", key: "a" }],
  ["storage.kv.ls", "ENOENT", { app: "none" }],
  ["storage.kv.incr", "ENOENT", { app: "none", key: "a" }],
  ["storage.kv.incr", "ERANGE", { app: "site", key: "most", by: 1 }],
];

const security: Case[] = [
  ["security.login", "EINVAL", {}, () => ({ from: stranger })],
  ["security.login", "EKEYREJECTED", { password: "x" }, () => ({ from: anonymous("192.0.2.9") })],
  [
    "security.login",
    "EAGAIN",
    async ({ k }) => {
      const from = anonymous("192.0.2.10");
      for (let i = 0; i < 5; i++) {
        await k.call("security.login", { user: "eve", password: "x" }, { from }).catch(() => null);
      }
      return k.call("security.login", { password: testRootPass }, { from });
    },
  ],
  ["security.whoami", "ENOKEY", {}, () => ({ from: stranger })],
  [
    "security.rootPass",
    "EAGAIN",
    async ({ k }) => {
      const from = away("192.0.2.11");
      const change = { password, current: "not this one at all" };
      for (let i = 0; i < 5; i++) {
        await k.call("security.rootPass", change, { from }).catch(() => null);
      }
      return k.call("security.rootPass", change, { from });
    },
  ],
  ["security.rootPass", "EINVAL", { password: "x" }],
  ["security.rootPass", "EKEYREJECTED", { password }, () => ({ from: away("192.0.2.12") })],
  ["security.rootPass", "EPERM", { password, current: testRootPass }, () => ({ from: clerk })],
  [
    "security.token.add",
    "EDQUOT",
    async ({ k, owner }) => {
      const wanted = { name: "many", capabilities: ["app:read"], ttlMs: 60_000 };
      const room = tokensMax - k.kernel.security.tokens.ls().length;
      const add = () => k.kernel.security.tokens.add(owner, wanted);
      const made = await Promise.all(Array.from({ length: room }, add));
      const refused = k.call("security.token.add", wanted);
      return refused.finally(() =>
        Promise.all(made.map(({ id }) => k.kernel.security.tokens.rm(owner, id))),
      );
    },
  ],
  ["security.token.add", "EINVAL", { name: "\n", capabilities: ["app:read"] }],
  [
    "security.token.add",
    "EPERM",
    { name: "more", capabilities: ["app:read"] },
    () => ({ from: clerk }),
  ],
  ["security.token.rm", "ENOENT", { id: "tok_none" }],
  [
    "security.token.rm",
    "EPERM",
    async ({ k, owner }) => {
      const wanted = { name: "all", capabilities: ["*"], ttlMs: 60_000 };
      const { id } = await k.kernel.security.tokens.add(owner, wanted);
      return k.call("security.token.rm", { id }, { from: clerk });
    },
  ],
  [
    "security.user.add",
    "EAGAIN",
    async ({ k }) => {
      const adds = Array.from({ length: 14 }, (_, i) =>
        k.call("security.user.add", user(`many${i}`)),
      );
      const settled = await Promise.allSettled(adds);
      const refused = settled.find((outcome) => outcome.status === "rejected");
      throw refused?.reason;
    },
  ],
  [
    "security.user.add",
    "EDQUOT",
    async ({ k }) => {
      const insert = "INSERT INTO security_user VALUES (?, ?, '', '[]', 0)";
      for (let i = 0; i < usersMax; i++) await sql(k, insert, `usr_fill${i}`, `fill${i}`);
      const refused = k.call("security.user.add", user("one-more"));
      return refused.finally(() => sql(k, "DELETE FROM security_user WHERE id LIKE 'usr_fill%'"));
    },
  ],
  ["security.user.add", "EEXIST", user("root")],
  ["security.user.add", "EINVAL", { ...user("bob"), password: "x" }],
  ["security.user.add", "EPERM", user("bob"), () => ({ from: clerk })],
  ["security.user.rm", "ENOENT", { name: "nobody" }],
  ["security.user.rm", "EPERM", { name: "root" }],
  ["security.claim", "EEXIST", claimWith("AAAA-BBBB-CCCC"), () => ({ from: stranger })],
];

/** A claim with a code. */
function claimWith(code: string) {
  return { code, rootPass: password, domain: "localhost", email: "a@example.org" };
}

/** On a claimed kernel. */
export const cases: readonly Case[] = [...proc, ...app, ...fs, ...net, ...storage, ...security];

/** On a kernel that nobody has claimed. */
export const unclaimedCases: readonly Case[] = [
  ["security.claim", "EACCES", claimWith("AAAA-BBBB-CCCC"), () => ({ from: stranger })],
  [
    "security.claim",
    "EINVAL",
    ({ k }) => {
      const code = k.kernel.security.setupCode() ?? "";
      return k.call("security.claim", { ...claimWith(code), rootPass: "x" }, { from: stranger });
    },
  ],
  [
    "security.claim",
    "EAGAIN",
    async ({ k }) => {
      const wrong = () =>
        k.call("security.claim", claimWith("A"), { from: anonymous("192.0.2.20") });
      for (let i = 0; i < 4; i++) await wrong().catch(() => null);
      return wrong();
    },
  ],
];

/** Input with which each call that declares ENOSPC reaches the disk; all were fine a moment ago. */
export const fullDiskCases: readonly Case[] = [
  [
    "app.deploy",
    "ENOSPC",
    ({ k }) => {
      const files = k.kernel.fs.manifests.list(k.kernel.app.get("site").releaseId ?? "");
      return k.call("app.deploy", { name: "site", manifest: {}, files });
    },
  ],
  ["app.rollback", "ENOSPC", { app: "site" }],
  ["app.rename", "ENOSPC", { app: "site", to: "site2" }],
  ["app.rm", "ENOSPC", { app: "site" }],
  ["app.env.set", "ENOSPC", { app: "site", name: "A", value: "1" }],
  ["app.env.rm", "ENOSPC", { app: "site", name: "PRESENT" }],
  ["fs.write", "ENOSPC", { path: "/home/x" }, body("x")],
  ["fs.mkdir", "ENOSPC", { path: "/home/more" }],
  ["fs.mv", "ENOSPC", { from: "/home/file", to: "/home/file2" }],
  ["fs.cp", "ENOSPC", { from: "/home/file", to: "/home/file2" }],
  ["fs.rm", "ENOSPC", { path: "/home/file" }],
  ["fs.blob.put", "ENOSPC", {}, body("new content")],
  [
    "fs.blob.putMany",
    "ENOSPC",
    {},
    () => {
      const bytes = new TextEncoder().encode("other new content");
      const head = frame(bytes.length);
      head.set(new Bun.CryptoHasher("sha256").update(bytes).digest());
      return body(head, bytes)();
    },
  ],
  ["proc.stop", "ENOSPC", { app: "server" }],
  ["net.route.add", "ENOSPC", { host: "y.example", app: "site" }],
  ["net.route.rm", "ENOSPC", { host: "taken.example" }],
  ["storage.kv.set", "ENOSPC", { app: "site", key: "b", value: 1 }],
  ["storage.kv.rm", "ENOSPC", { app: "site", key: "text" }],
  ["storage.kv.incr", "ENOSPC", { app: "site", key: "n" }],
  ["security.login", "ENOSPC", { password: testRootPass }, () => ({ from: stranger })],
  ["security.logout", "ENOSPC", ({ k }) => k.call("security.logout", { session: sessionOf(k) })],
  ["security.rootPass", "ENOSPC", { password }],
  ["security.token.add", "ENOSPC", { name: "t", capabilities: ["app:read"] }],
  [
    "security.token.rm",
    "ENOSPC",
    ({ k }) => k.call("security.token.rm", { id: k.kernel.security.tokens.ls()[0]?.id }),
  ],
  ["security.user.add", "ENOSPC", user("eve")],
  ["security.user.rm", "ENOSPC", { name: "ada" }],
  // The last: what it gets back, a later call could use.
  ["storage.gc", "ENOSPC", {}],
];

/** The claim too wants the disk: on a kernel that nobody has claimed. */
export const fullUnclaimedCases: readonly Case[] = [
  [
    "security.claim",
    "ENOSPC",
    ({ k }) => {
      const code = k.kernel.security.setupCode() ?? "";
      return k.call("security.claim", claimWith(code), { from: stranger });
    },
  ],
];
