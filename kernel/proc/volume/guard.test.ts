/** The guard of volumes: every app is looked at, whatever another did to its directory. */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GuardOptions, guard } from "./guard.ts";
import { limits } from "./limits.ts";

/** Puts directories into each other until the path of the last is longer than any call takes. */
function bury(dir: string): void {
  const name = "d".repeat(250);
  mkdirSync(join(dir, name));
  for (let depth = 0; depth < 20; depth++) {
    mkdirSync(join(dir, "next"));
    renameSync(join(dir, name), join(dir, "next", name));
    renameSync(join(dir, "next"), join(dir, name));
  }
}

test("a directory that is gone or cannot be read spares nobody", async () => {
  const top = mkdtempSync(join(tmpdir(), "fazt-guard-"));
  try {
    const [buried, full, fine] = ["buried", "full", "fine"].map((name) => join(top, name));
    for (const dir of [buried, full, fine]) mkdirSync(dir ?? "");
    bury(buried ?? "");
    for (let i = 0; i < 12; i++) writeFileSync(join(full ?? "", `${i}`), "");
    const lines: string[] = [];
    const options = {
      storage: {
        volumeDir: (id: string) => join(top, id),
        volumeBytesMax: 1024 * 1024,
        logs: { append: ({ text }: { text: string }) => void lines.push(text) },
      },
      limits: { ...limits, guardFilesMax: 10 },
      running: () =>
        ["gone", "buried", "full", "fine"].map((name) => ({ id: name, name, releaseId: null })),
      stop: async () => undefined,
    };
    const all = { ...options, limits: { ...limits, guardFilesMax: 100 } };
    expect(await guard(all as unknown as GuardOptions)).toEqual(["buried"]);
    expect(lines.join()).toContain("a directory that cannot be read (ENAMETOOLONG)");
    expect(await guard(options as unknown as GuardOptions)).toEqual(["buried", "full"]);
  } finally {
    Bun.spawnSync(["rm", "-rf", top]);
  }
});
