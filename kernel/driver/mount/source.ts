/**
 * What a source is: a directory of the host, a cartridge of the host or of the tree (`vfs:`), or a
 * part of a bucket (`s3://`), with the key that the replica has.
 *
 * Rules: a source of the host is an absolute path, and kept without links; what is, holds or lies in
 * the kernel's data directory is refused, and so are file systems that are no disks (`/proc`,
 * `/sys`): their files are the machine's own inside. A cartridge is taken in when it is mounted: the
 * file may go then, and what is changed in it later is not seen.
 */
import { constants, realpathSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import type { Apps } from "../../app/mod.ts";
import { type Errno, SysError } from "../../errno.ts";
import type { Attached, Fs, MountDriver, MountWish } from "../../fs/mod.ts";
import type { Machine } from "../../machine.ts";
import type { Security } from "../../security/mod.ts";
import type { Storage } from "../../storage/mod.ts";
import { readTarget, targetOf } from "../replica-target.ts";
import { placeOf, type Target } from "../store/mod.ts";
import { BucketStore, BucketTree } from "./bucket.ts";
import { changesTo } from "./change.ts";
import { HostDirectory, hostTree } from "./directory.ts";
import { Lane } from "./lane.ts";
import { cartridgeBytesMax } from "./limits.ts";
import { close, type Host, hostOn, openRoot, type Root, refusal, type Seeing } from "./node.ts";

export interface MountsOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly fs: Fs;
  readonly apps: Pick<Apps, "unpackCartridge">;
  readonly security: Pick<Security, "unseal">;
  readonly dataDir: string;
}

const firstEntry = { after: "", limit: 1 };

/** What marks a path of the tree, as in `fazt fs cp`. */
const treeMark = "vfs:";

const bucketMark = "s3://";

/** File systems of the kernel below us, by the number statfs(2) gives: magic.h. */
const unreal: ReadonlySet<number> = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x1cd1, // devpts
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x73636673, // securityfs
  0x62656570, // configfs
  0x6165676c, // pstore
  0xde5e81e4, // efivarfs
  0xcafe4a11, // bpf
]);

const refused = (code: Errno, source: string, say: { state: string; hint: string }): SysError =>
  new SysError(code, `cannot mount ${JSON.stringify(source.slice(0, 200))}: ${say.state}`, {
    hint: say.hint,
  });

/** Whether one absolute path is the other, or below it. Pure. */
const within = (dir: string, path: string): boolean =>
  path === dir || path.startsWith(dir === "/" ? "/" : `${dir}/`);

class Mounts implements MountDriver {
  readonly #on: MountsOptions;
  readonly #host: Host;
  /** The kernel's own data: its path without links, its device and inode. */
  readonly #own: { readonly path: string } & Root["hidden"];

  constructor(on: MountsOptions) {
    this.#on = on;
    const path = realpathSync(on.dataDir);
    const { dev, ino } = statSync(path);
    this.#own = { path, dev, ino };
    this.#host = hostOn(new Lane(on.machine));
  }

  async prepare(wish: MountWish): Promise<Pick<Attached, "kind" | "source">> {
    const { source } = wish;
    if (source.startsWith(treeMark)) return await this.#fromTree(wish);
    if (source.startsWith(bucketMark)) return await this.#fromBucket(wish);
    if (!isAbsolute(source) || source.includes("\0")) {
      const hint = "give a whole path: /srv/photos of the host, or vfs:/home/blog.cart of the tree";
      throw refused("EINVAL", source, { state: "not an absolute path", hint });
    }
    if (process.platform !== "linux") {
      const hint = "copy it into the tree: fazt fs cp";
      throw refused("EINVAL", source, { state: "this host is not Linux", hint });
    }
    return await this.#fromHost(wish);
  }

  open(mount: Attached): ReturnType<MountDriver["open"]> {
    const { machine, storage, fs } = this.#on;
    if (mount.kind === "cartridge") return fs.manifests.filesystem(mount.id, mount.createdAt);
    if (mount.kind === "s3") return new BucketTree(machine, this.#bucketOf(mount.source));
    const tree = hostTree(this.#seeing(mount.source));
    const changes = mount.writable ? changesTo({ machine, storage, tree }) : null;
    return new HostDirectory(tree, changes);
  }

  async problem(mount: Attached): Promise<string | null> {
    if (mount.kind === "cartridge") return null;
    try {
      if (mount.kind === "s3") {
        await new BucketTree(this.#on.machine, this.#bucketOf(mount.source)).ls("/", firstEntry);
        return null;
      }
      close((await openRoot(this.#seeing(mount.source), { action: "read", path: "/" })).fd);
      return null;
    } catch (error) {
      return error instanceof SysError ? error.message.replace(/^.*?: /s, "") : String(error);
    }
  }

  /** The bucket a source names, with the replica's key. EINVAL when there is none. */
  #target(source: string): Extract<Target, { kind: "s3" }> {
    const { storage, security } = this.#on;
    const replica = readTarget(storage, security);
    if (replica?.kind !== "s3") {
      const hint = "the replica's key is used: fazt driver replica set s3://…";
      throw refused("EINVAL", source, { state: "the machine has no key of a store", hint });
    }
    const { endpoint, region, keyId } = replica;
    const place = { url: source, region, keyId, secret: replica.secret };
    try {
      const target = targetOf(endpoint === null ? place : { ...place, endpoint });
      if (target.kind === "s3") return target;
    } catch {
      // Its words are of replicas: what is wrong here can only be the source.
    }
    throw refused("EINVAL", source, { state: "no bucket", hint: "such as s3://bucket/prefix" });
  }

  #bucketOf(source: string): BucketStore {
    return new BucketStore(this.#on.machine, () => this.#target(source));
  }

  async #fromBucket({ source, writable }: MountWish): Promise<Pick<Attached, "kind" | "source">> {
    if (writable) {
      const hint = "leave --writable out";
      throw refused("EINVAL", source, { state: "a bucket is read-only", hint });
    }
    const place = placeOf(this.#target(source));
    await new BucketTree(this.#on.machine, this.#bucketOf(place)).ls("/", firstEntry);
    return { kind: "s3", source: place };
  }

  #seeing(path: string): Seeing {
    return { host: this.#host, root: { path, hidden: this.#own } };
  }

  async #fromHost(wish: MountWish): Promise<Pick<Attached, "kind" | "source">> {
    const { source } = wish;
    const failed = (error: unknown): never => {
      throw hostRefusal(source, error);
    };
    const path = await this.#host.realpath(source).catch(failed);
    const own = this.#own;
    if (within(own.path, path) || within(path, own.path)) {
      const hint = "the tree holds what is in it already: fazt fs ls /";
      throw refused("EINVAL", source, { state: "the machine's own data is there", hint });
    }
    const stats = await this.#host.stat(path).catch(failed);
    if (unreal.has(await this.#host.kind(path).catch(failed))) {
      throw refused("EINVAL", source, { state: "not a disk", hint: "mount a directory of a disk" });
    }
    if (stats.isFile()) return await this.#cartridgeOf(wish, path, stats.size);
    if (!stats.isDirectory()) {
      const hint = "mount a directory, or a file that fazt app export wrote";
      throw refused("EINVAL", source, { state: "neither a directory nor a file", hint });
    }
    const rights = constants.R_OK | constants.X_OK | (wish.writable ? constants.W_OK : 0);
    await this.#host.access(path, rights).catch(failed);
    close((await openRoot(this.#seeing(path), { action: "read", path: "/" })).fd);
    return { kind: "directory", source: path };
  }

  async #cartridgeOf(wish: MountWish, path: string, sizeBytes: number) {
    if (sizeBytes > cartridgeBytesMax) {
      const state = `no cartridge: larger than ${cartridgeBytesMax} bytes`;
      throw refused("EBADMSG", wish.source, { state, hint: "name a file of fazt app export" });
    }
    const cut = path.lastIndexOf("/");
    const seeing = this.#seeing(path.slice(0, cut) || "/");
    const directory = new HostDirectory(hostTree(seeing), null);
    const { stream } = await directory.read(path.slice(cut), { offset: 0, length: null });
    return await this.#takeIn(wish, path, stream);
  }

  async #fromTree(wish: MountWish) {
    const path = join("/", wish.source.slice(treeMark.length));
    const { stream } = await this.#on.fs.read(wish.caller, path, { offset: 0, length: null });
    return await this.#takeIn(wish, `${treeMark}${path}`, stream);
  }

  async #takeIn(wish: MountWish, source: string, body: ReadableStream<Uint8Array>) {
    if (wish.writable) {
      await body.cancel();
      const hint = "leave --writable out, or import it: fazt app import";
      throw refused("EINVAL", wish.source, { state: "a cartridge is read-only", hint });
    }
    const { apps, fs } = this.#on;
    const files = await apps.unpackCartridge(body);
    try {
      await fs.manifests.put(wish.id, "", files);
    } catch (error) {
      if (!(error instanceof SysError) || error.code !== "EINVAL") throw error;
      throw new SysError("EBADMSG", `cannot take in the cartridge: ${error.message}`, {
        hint: "it holds what this machine would not take",
        cause: error,
      });
    }
    return { kind: "cartridge", source } as const;
  }
}

/** What the host says of a source, in the errnos of the call. */
function hostRefusal(source: string, error: unknown): unknown {
  const known = refusal(error, "mount", source);
  if (!(known instanceof SysError)) return known;
  const hint = "name a directory of the host, or a file that fazt app export wrote";
  if (known.code === "ENOTDIR") {
    return refused("ENOENT", source, { state: "no such file or directory", hint });
  }
  if (known.code === "EROFS") {
    const leaveOut = { state: "its disk is read-only", hint: "leave --writable out" };
    return refused("EINVAL", source, leaveOut);
  }
  return known;
}

/** Drivers of mounts, for one kernel. */
export function createMounts(options: MountsOptions): MountDriver {
  return new Mounts(options);
}
