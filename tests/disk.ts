/**
 * A disk of a few megabytes for tests that fill one: a tmpfs, which only root may mount. Where it
 * may not be mounted, tests are skipped and say so.
 */
import { existsSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallDisk extends Disposable {
  readonly path: string;
  /** Leaves no byte free, or so many KB. */
  fill(spareKb?: number): void;
  /** Takes back what `fill` took. */
  empty(): void;
}

function mount(path: string, sizeMb: number): boolean {
  const command = ["mount", "-t", "tmpfs", "-o", `size=${sizeMb}m`, "fazt-test", path];
  return Bun.which("mount") !== null && Bun.spawnSync(command).success;
}

/** Mounts one; unmounted at the end of the scope. */
export function smallDisk(sizeMb: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), "fazt-disk-"));
  const dispose = () => {
    Bun.spawnSync(["umount", "--lazy", path]);
    rmSync(path, { recursive: true, force: true });
  };
  if (!mount(path, sizeMb)) {
    dispose();
    throw new Error("cannot mount a tmpfs");
  }
  let fillers = 0;
  const filler = (n: number) => join(path, `filler${n}`);
  return {
    path,
    fill(spareKb = 0) {
      const freeKb = statfsSync(path).bavail * 4;
      const pages = spareKb === 0 ? [] : [`count=${Math.max(0, freeKb - spareKb) >> 2}`];
      Bun.spawnSync(["dd", "if=/dev/zero", `of=${filler(fillers++)}`, "bs=4096", ...pages]);
    },
    empty() {
      while (existsSync(filler(fillers - 1))) rmSync(filler(--fillers));
    },
    [Symbol.dispose]: dispose,
  };
}

/** Whether this process may mount one. */
export const mayMount: boolean = (() => {
  try {
    using disk = smallDisk(1);
    return disk.path !== "";
  } catch {
    return false;
  }
})();
