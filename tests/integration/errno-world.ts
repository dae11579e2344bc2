/**
 * The kernel that the cases of `errno-cases.ts` speak of, and what is on it.
 */
import { anonymous, type Caller, localOwner } from "../../kernel/caller.ts";
import type { Errno } from "../../kernel/errno.ts";
import { deployed, okServer } from "../deployed.ts";
import { type TestCallOptions, type TestKernel, testRootPass } from "../kernel.ts";

/**
 * The kernel of the cases. On it: `site` has files only, `server` a process, both two releases;
 * `other` holds a route; `/home` some files; `ada` is a user.
 */
export interface World {
  readonly k: TestKernel;
  readonly owner: Caller;
}

/** Work that ends in the errno. */
export type Work = (world: World) => Promise<unknown>;

/** One errno, and how it comes about. */
export type Case = readonly [
  call: string,
  errno: Errno,
  input: object | Work,
  options?: () => TestCallOptions,
];

/** A password that is taken. */
export const password = "kettle moss violin nine";

/** A user to add. */
export const user = (name: string) => ({ name, password, capabilities: ["app:read"] });

const stream = (...parts: (Uint8Array<ArrayBuffer> | string)[]) => new Blob(parts).stream();
/** The body of an upload. */
export const body =
  (...parts: (Uint8Array<ArrayBuffer> | string)[]) =>
  () => ({ body: stream(...parts) });

/** The manifest of an app with a server and nothing else. */
export const serverManifest = { server: "server.js" };

const sessions = new WeakMap<TestKernel, string>();
/** The session that `openSession` opened. */
export const sessionOf = (k: TestKernel): string => sessions.get(k) ?? "";

/** Puts on a claimed kernel what the cases speak of. */
export async function settle(k: TestKernel): Promise<World> {
  const files = { "public/index.html": "<p>one" };
  await deployed(k, "site", { files });
  await deployed(k, "site", { files: { "public/index.html": "<p>two" } });
  await deployed(k, "other", { files });
  const first = `if (process.env.BROKEN) throw new Error("told to break");\n${okServer}`;
  await deployed(k, "server", { files: { "server.js": first }, manifest: serverManifest });
  const second = { files: { "server.js": okServer }, manifest: serverManifest };
  await deployed(k, "server", second);
  await k.call("app.env.set", { app: "site", name: "PRESENT", value: "1" });
  await k.call("net.route.add", { host: "taken.example", app: "other" });
  await k.call("net.redirect.add", { host: "led.example", to: "x.example" });
  await k.call("fs.write", { path: "/home/file" }, body("content")());
  await k.call("fs.mkdir", { path: "/home/dir/inner", parents: true });
  await k.call("fs.mkdir", { path: "/home/empty" });
  await k.call("fs.write", { path: "/data/site/kept" }, body("kept")());
  await k.call("storage.kv.set", { app: "site", key: "text", value: "text" });
  await k.call("storage.doc.put", { app: "site", collection: "note", id: "kept", doc: { v: 1 } });
  await k.call("storage.doc.index", { app: "site", collection: "note", field: "indexed" });
  // Expired when gc looks, so that gc has something to do.
  await k.call("storage.kv.set", { app: "site", key: "gone", value: 1, ttlMs: 1 });
  const most = Number.MAX_SAFE_INTEGER;
  await k.call("storage.kv.set", { app: "site", key: "most", value: most });
  await k.call("security.user.add", user("ada"));
  await k.call("security.token.add", { name: "ci", capabilities: ["app:read"] });
  return { k, owner: localOwner("socket") };
}

/** Opens a session for the cases that end one. */
export async function openSession(k: TestKernel): Promise<void> {
  const input = { password: testRootPass };
  const from = anonymous("192.0.2.30");
  const { session } = await k.call<{ session: string }>("security.login", input, { from });
  sessions.set(k, session);
}
