/**
 * What first boot has done, as the database remembers it, and what is left to do. Pure.
 *
 * Rules: a step that is done is never done again; a document is done when all its steps are, or
 * when a person has claimed the machine meanwhile; what fails is tried again at the next boots, a
 * few times. Secrets are never in the record.
 */
import type { SeedNote } from "../../kernel/security/mod.ts";
import type { Document } from "./document.ts";

/** Boots at which what is left of a document is tried once the machine has an owner. */
const attemptsMax = 10;

/** The record of a machine of which nothing is known. */
export const noRecord: SeedNote = {
  source: null,
  instanceId: null,
  sha256: null,
  at: 0,
  steps: [],
  attempts: 0,
  done: false,
  problem: null,
};

/** One thing to do; `app:` is followed by its place in the document. */
export type Step = "network" | "claim" | "code" | "restore" | "replica" | `app:${number}`;

/** The steps of a document that are left, in their order. The network first: others need it. */
export function stepsLeft(document: Document | null, record: SeedNote): Step[] {
  const all: Step[] = ["network"];
  if (document?.restore !== undefined) all.push("restore");
  if (document?.claim !== undefined) all.push("claim");
  if (document?.setupCodeHash !== undefined) all.push("code");
  if (document?.replica !== undefined) all.push("replica");
  all.push(...(document?.apps ?? []).map((_, index): Step => `app:${index}`));
  return all.filter((step) => !record.steps.includes(step));
}

/** Whether the sources are looked at in this boot. */
export function isOpen(record: SeedNote, claimed: boolean): boolean {
  // Without an owner always: its document may be another one now. With one that a document brought,
  // until its steps are all done; a person's machine is theirs.
  const waiting = record.steps.includes("claim") && !record.done && record.attempts < attemptsMax;
  return !claimed || waiting;
}
