/**
 * mount: what the owner attaches below `/mnt`, a directory of the host, a cartridge, or a part
 * of a bucket. A part of driver; fs keeps the table (`fs_mount`) and is handed this.
 *
 *     fs.fstab.start(createMounts({ machine, storage, fs, apps, security, dataDir }));
 *
 * Invariants
 * 1. No link is followed, nothing but files and directories is seen, no other mount is entered, and
 *    the kernel's own data is in none of it (`node.ts`).
 * 2. A disk that does not answer holds up nobody but who reads it (`lane.ts`).
 * 3. A cartridge is a stranger's: it is read once, in the sandbox, and its files become rows.
 */
export { createMounts } from "./source.ts";
