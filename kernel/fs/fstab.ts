/**
 * The table of what the owner attached below `/mnt`, as fstab(5): attached again at each start.
 *
 * Rules
 * 1. What is attached is a row first; a cut leaves the row and the mount, or neither.
 * 2. A source that is not there keeps nothing from starting: it is named by `ls`, and who reads it
 *    is refused. Nothing of a source is looked at when the machine starts.
 * 3. No mount lies below another one, so that nothing is ever hidden by one.
 * What a source is and how it is read is the driver's business; fs reads no disk of the host.
 */
import { assert } from "../assert.ts";
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Reader, Storage } from "../storage/mod.ts";
import type { Filesystem, Fs } from "./fs.ts";
import { limits } from "./limits.ts";
import { type MountTable, pseudo } from "./mount.ts";
import { below, normalise, shown } from "./path.ts";

/** What somebody wants to be attached. */
export interface MountWish {
  /** Of the mount to be: what a driver keeps in the database is named by it. */
  readonly id: string;
  /** As it was given: a path of the host, `vfs:` and a path of the tree, or `s3://…`. */
  readonly source: string;
  readonly writable: boolean;
  readonly caller: Caller;
}

/** What may be attached. */
const kinds = ["directory", "cartridge", "s3"] as const;

export type MountKind = (typeof kinds)[number];

/** One row. */
export interface Attached {
  readonly id: string;
  readonly path: string;
  readonly kind: MountKind;
  /** In the driver's own spelling. */
  readonly source: string;
  readonly writable: boolean;
  /** Unix ms. */
  readonly createdAt: number;
}

/** Makes file systems of sources: the devices below a mount. */
export interface MountDriver {
  /** Looks at a source, and takes in what must be kept of it. EINVAL, ENOENT, EACCES, EBADMSG, EIO. */
  prepare(wish: MountWish): Promise<Pick<Attached, "kind" | "source">>;
  /** The file system of it, without a look at the source. */
  open(mount: Attached): Filesystem;
  /** What keeps it from being read now, in words; null when nothing does. */
  problem(mount: Attached): Promise<string | null>;
}

/** One line of `fs mounts`. */
export interface MountStatus {
  readonly path: string;
  readonly kind: MountKind | "built-in";
  readonly source: string | null;
  readonly writable: boolean | null;
  readonly state: "attached" | "missing";
  readonly problem: string | null;
}

export interface Fstab {
  /** Attaches what the table says, by this driver. Once a kernel. */
  start(driver: MountDriver): void;
  /** EINVAL (path), EBUSY (taken), and what the driver refuses with. */
  mount(wish: Omit<MountWish, "id"> & { readonly path: string }): Promise<MountStatus>;
  /** Who reads from it reads on. EINVAL for what `mount` did not attach. */
  umount(path: string): Promise<{ path: string }>;
  ls(): Promise<MountStatus[]>;
}

interface Parts {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly mounts: MountTable;
  readonly manifests: Pick<Fs["manifests"], "drop">;
}

interface Row {
  readonly id: string;
  readonly path: string;
  readonly kind: string;
  readonly source: string;
  readonly writable: number;
  readonly created_at: number;
}

/** The prefix of mounts' ids, by which their manifests are told from releases. */
const idPrefix = "mnt";

/** The rows, less those of a kind that a newer version knows: they wait for it. */
function rowsOf(reader: Reader): Attached[] {
  return reader.all<Row>("SELECT * FROM fs_mount ORDER BY path").flatMap((row) => {
    const kind = kinds.find((one) => one === row.kind);
    if (kind === undefined) return [];
    const { id, path, source } = row;
    return [{ id, path, kind, source, writable: row.writable === 1, createdAt: row.created_at }];
  });
}

/** The place as it is kept. EINVAL for one that is not below `/mnt`. Pure. */
function mountPointOf(path: string): string {
  const point = normalise(path);
  const rest = below("/mnt", point);
  if (rest !== null && rest !== "/") return point;
  throw new SysError("EINVAL", `cannot mount at ${shown(point)}: not below "/mnt"`, {
    hint: 'choose a path such as "/mnt/photos"',
  });
}

/** The table over one database. */
export function createFstab({ machine, storage, mounts, manifests }: Parts): Fstab {
  const attached = new Map<string, Attached>();
  /** Mounts being prepared: path to id. */
  const pending = new Map<string, string>();
  let driver: MountDriver | null = null;

  const open = (mount: Attached): void => {
    assert(driver !== null, "mounts have a driver");
    mounts.mount(mount.path, driver.open(mount));
    attached.set(mount.path, mount);
  };

  const statusOf = async (mount: Attached): Promise<MountStatus> => {
    const { path, kind, source, writable } = mount;
    const problem = (await driver?.problem(mount)) ?? null;
    const state = problem === null ? "attached" : "missing";
    return { path, kind, source, writable, state, problem };
  };

  const claim = (point: string, id: string): void => {
    const others = [...attached.keys(), ...pending.keys(), ...mounts.points().map((p) => p.path)];
    const inTheWay = others.find(
      (other) => other !== "/mnt" && (below(other, point) ?? below(point, other)) !== null,
    );
    if (inTheWay !== undefined) {
      const state = `something is mounted at ${shown(inTheWay)}`;
      throw new SysError("EBUSY", `cannot mount at ${shown(point)}: ${state}`, {
        hint: "choose another path, or detach that first: fazt fs umount PATH",
      });
    }
    if (attached.size + pending.size >= limits.mountsMax) {
      throw new SysError(
        "EBUSY",
        `cannot mount at ${shown(point)}: ${limits.mountsMax} are there`,
        {
          hint: "detach one first: fazt fs umount PATH",
        },
      );
    }
    pending.set(point, id);
  };

  const add = async (wish: MountWish, point: string): Promise<Attached> => {
    assert(driver !== null, "mounts have a driver");
    const { id, writable } = wish;
    const found = await driver.prepare(wish);
    const mount: Attached = { ...found, id, path: point, writable, createdAt: machine.now() };
    const { kind, source, createdAt } = mount;
    await storage.write((tx) => {
      const values = [id, point, kind, source, writable ? 1 : 0, createdAt] as const;
      const sql =
        "INSERT INTO fs_mount (id, path, kind, source, writable, created_at) VALUES (?, ?, ?, ?, ?, ?)";
      tx.run(sql, ...values);
    });
    return mount;
  };

  // A cartridge's files whose mount is gone, or never came to be.
  storage.onGc("fs mounts", async () => {
    const sql =
      `SELECT m.id FROM fs_manifest m WHERE m.id >= '${idPrefix}_' AND m.id < '${idPrefix}\`' ` +
      "AND NOT EXISTS (SELECT 1 FROM fs_mount o WHERE o.id = m.id)";
    const kept = new Set(pending.values());
    const gone = storage.read.all<{ id: string }>(sql).map(({ id }) => id);
    const ids = gone.filter((id) => !kept.has(id));
    await manifests.drop(ids);
    return { rows: ids.length, bytes: 0 };
  });

  return {
    start(by) {
      driver = by;
      // There also when nothing is mounted, so that who looks finds it.
      mounts.mount("/mnt", pseudo({}));
      for (const mount of rowsOf(storage.read)) open(mount);
    },
    async mount({ path, ...wish }) {
      const point = mountPointOf(path);
      const id = machine.id(idPrefix);
      claim(point, id);
      try {
        const mount = await add({ ...wish, id }, point);
        open(mount);
        return await statusOf(mount);
      } finally {
        pending.delete(point);
      }
    },
    async umount(path) {
      const point = normalise(path);
      const mount = attached.get(point);
      if (mount === undefined) throw notMounted(point, mounts);
      await storage.write((tx) => tx.run("DELETE FROM fs_mount WHERE id = ?", mount.id));
      attached.delete(point);
      mounts.unmount(point);
      return { path: point };
    },
    async ls() {
      return await Promise.all(
        mounts.points().map(async ({ path, writable }): Promise<MountStatus> => {
          const mount = attached.get(path);
          if (mount !== undefined) return await statusOf(mount);
          return { ...{ path, writable }, kind: "built-in", source: null, ...wellAttached };
        }),
      );
    },
  };
}

const wellAttached = { state: "attached", problem: null } as const;

function notMounted(point: string, mounts: MountTable): SysError {
  const builtIn = mounts.points().some(({ path }) => path === point);
  const state = builtIn ? "it is part of the system" : "nothing is mounted there";
  return new SysError("EINVAL", `cannot detach ${shown(point)}: ${state}`, {
    hint: "fazt fs mounts lists what is mounted",
  });
}
