/**
 * A process that writes until it is killed: 16 writers, each key printed once its write has been
 * acknowledged, a line each. Run by the crash tests as `bun testing-writer.ts DATA_DIR ROUND`.
 */
import { writeSync } from "node:fs";
import { realMachine } from "../machine.ts";
import { createStorage } from "./create.ts";

/** What a key must hold: small values, and every eighth one over several pages. Pure. */
export function heldBy(key: string): string {
  const n = Number(key.slice(key.lastIndexOf("/") + 1));
  return `${key}:${"v".repeat(n % 8 === 0 ? 30_000 : 50)}`;
}

/** Whose keys they are. */
export const scope = { appId: "app_crash", userId: null };

async function writeForever(dataDir: string, round: string): Promise<void> {
  const storage = createStorage({ machine: realMachine(), dataDir, migrations: [] });
  const writers = Array.from({ length: 16 }, async (_, writer) => {
    for (let n = 0; ; n++) {
      const key = `${round}/${writer}/${n}`;
      await storage.kv.set(scope, { key, value: heldBy(key) });
      writeSync(1, `${key}\n`);
    }
  });
  await Promise.all(writers);
}

if (import.meta.main) {
  const [dataDir = "", round = ""] = process.argv.slice(2);
  await writeForever(dataDir, round);
}
