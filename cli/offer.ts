/**
 * Candidates that only the kernel knows: names of apps, paths of the tree. Best effort: a kernel
 * that does not answer at once has nothing to offer, and no error is shown.
 */
import { posix } from "node:path";
import type { Candidate, Completion } from "./completion.ts";
import { type Context, clientOf } from "./context.ts";
import { noGlobals } from "./parse.ts";

/** A person waits for Tab no longer than this, in ms. */
const patienceMs = 800;

/** Names that Tab looks through at most: who has more of one beginning types another letter. */
const offeredMax = 1_000;

/** What all names of a beginning come after, and as few others as can be told. Pure. */
export function before(beginning: string): string {
  const points = [...beginning];
  const last = points.pop()?.codePointAt(0) ?? 0;
  if (last === 0) return "";
  // No name has the code points between, which are halves of others.
  const lower = last === 0xe000 ? 0xd7ff : last - 1;
  return `${points.join("")}${String.fromCodePoint(lower)}\u{10ffff}`;
}

async function apps(context: Context): Promise<Candidate[]> {
  const signal = AbortSignal.timeout(patienceMs);
  const reply = await clientOf(context, noGlobals).json("app.ls", {}, { signal });
  return (reply as { name: string; state: string }[]).map(({ name, state }) => ({
    word: name,
    about: state,
  }));
}

async function paths(context: Context, last: string): Promise<Candidate[]> {
  const signal = AbortSignal.timeout(patienceMs);
  const path = last.includes("/") ? posix.dirname(`${last}.`) : "/";
  const after = before(last.slice(last.lastIndexOf("/") + 1));
  const input = { path, after, limit: offeredMax };
  const reply = await clientOf(context, noGlobals).json("fs.ls", input, { signal });
  return (reply as { path: string; kind: string }[]).map((entry) => ({
    word: entry.kind === "dir" ? `${entry.path}/` : entry.path,
    about: entry.kind,
  }));
}

/** What the kernel offers in place of `last`. */
export async function offer(
  context: Context,
  what: Completion["also"],
  last: string,
): Promise<Candidate[]> {
  if (what === null || what === "files") return [];
  try {
    const found = await (what === "apps" ? apps(context) : paths(context, last));
    return found.filter(({ word }) => word.startsWith(last));
  } catch {
    // No kernel, no rights or no time: there is simply nothing to offer.
    return [];
  }
}
