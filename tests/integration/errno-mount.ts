/**
 * How the errnos of mounts are brought about: a directory of the host that is attached and gone.
 */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Case, Work } from "./errno-world.ts";
import { body } from "./errno-world.ts";

/** Makes the call while `/mnt/gone` is attached and its directory is not there. */
const gone =
  (call: string, input: object, options: object = {}): Work =>
  async ({ k }) => {
    const source = realpathSync(mkdtempSync(join(tmpdir(), "fazt-gone-")));
    await k.call("fs.mount", { source, path: "/mnt/gone", writable: true });
    rmSync(source, { recursive: true });
    try {
      const made = await k.call<unknown>(call, input, options);
      if (call === "fs.find") for await (const _ of made as AsyncIterable<unknown>);
      return made;
    } finally {
      await k.call("fs.umount", { path: "/mnt/gone" });
    }
  };

const at = "/mnt/gone/x";

/** Mounts what `make` puts into a directory. */
const mounting =
  (make: (dir: string) => string): Work =>
  async ({ k }) => {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), "fazt-mount-")));
    try {
      return await k.call("fs.mount", { source: make(dir), path: "/mnt/new" });
    } finally {
      rmSync(dir, { recursive: true });
    }
  };

export const mountCases: readonly Case[] = [
  ["fs.mount", "ENOENT", mounting((dir) => join(dir, "none"))],
  ["fs.mount", "EBUSY", gone("fs.mount", { source: realpathSync(tmpdir()), path: "/mnt/gone" })],
  [
    "fs.mount",
    "EBADMSG",
    mounting((dir) => {
      writeFileSync(join(dir, "f"), "no cartridge");
      return join(dir, "f");
    }),
  ],
  ["fs.mount", "EIO", gone("fs.mount", { source: "vfs:/mnt/gone/x.cart", path: "/mnt/new" })],
  ["fs.stat", "EIO", gone("fs.stat", { path: at })],
  ["fs.ls", "EIO", gone("fs.ls", { path: "/mnt/gone" })],
  ["fs.read", "EIO", gone("fs.read", { path: at })],
  ["fs.write", "EIO", gone("fs.write", { path: at }, body("x")())],
  ["fs.mkdir", "EIO", gone("fs.mkdir", { path: at })],
  ["fs.mv", "EIO", gone("fs.mv", { from: at, to: "/mnt/gone/y" })],
  ["fs.cp", "EIO", gone("fs.cp", { from: at, to: "/home/x" })],
  ["fs.rm", "EIO", gone("fs.rm", { path: at })],
  ["fs.du", "EIO", gone("fs.du", { path: "/mnt/gone" })],
  ["fs.find", "EIO", gone("fs.find", { path: "/mnt/gone" })],
];
