/**
 * What first boot has found and done on this machine: one note, without secrets, so that nothing of
 * it is done twice and people can see what was wrong with it. init writes it; nobody else.
 */
import { z } from "zod";
import type { Storage } from "../storage/mod.ts";

export const SeedNote = z.object({
  source: z.string().nullable().describe("where the configuration came from, null: from nowhere"),
  instanceId: z.string().nullable().describe("the cloud's name of this machine"),
  sha256: z.string().nullable().describe("SHA-256 of the user-data, null without one"),
  at: z.int().describe("when something was done last, Unix milliseconds"),
  steps: z.array(z.string()).describe("what has been done"),
  attempts: z.int().describe("boots at which something failed"),
  done: z.boolean().describe("whether all of it has been done"),
  problem: z.string().nullable().describe("what was wrong last, null when nothing was"),
});

export type SeedNote = z.output<typeof SeedNote>;

/** The note; null when first boot has noted nothing, or a newer kernel what this one cannot read. */
export function readSeed(storage: Storage): SeedNote | null {
  const select = "SELECT seed FROM security_machine WHERE id = 1";
  const text = storage.read.get<{ seed: string | null }>(select)?.seed ?? null;
  return text === null ? null : (SeedNote.safeParse(JSON.parse(text)).data ?? null);
}

/** Puts the note down; `keyCheck` for a machine of which nothing is known yet. */
export async function noteSeed(
  storage: Storage,
  { keyCheck, note }: { readonly keyCheck: string; readonly note: SeedNote },
): Promise<void> {
  await storage.write((tx) =>
    tx.run(
      `INSERT INTO security_machine (id, key_check, seed) VALUES (1, ?, ?)
       ON CONFLICT (id) DO UPDATE SET seed = excluded.seed`,
      ...[keyCheck, JSON.stringify(note)],
    ),
  );
}
