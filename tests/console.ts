/**
 * The console's screens as golden texts: each file of `tests/golden/console/` begins with a line
 * such as `> 80x24 claimed "\\rexample.com\\r"` (size, machine, keys), and holds the screen that
 * comes of it. `npm run table` writes them anew.
 */
import { readdirSync, readFileSync } from "node:fs";
import { readKeys } from "../cli/key.ts";
import type { Facts } from "../init/console/facts.ts";
import type { Look } from "../init/console/look.ts";
import { firstState, type State, step } from "../init/console/state.ts";
import { view } from "../init/console/view.ts";
import type { Trouble } from "../init/trouble.ts";

const gb = 1024 ** 3;

/** Noon of a day, Unix ms. */
export const noon = Date.UTC(2026, 10, 20, 12);

export const unclaimed: Facts = {
  version: "0.1.0",
  hostname: "fazt",
  urls: ["https://192.168.122.50/", "https://[2001:db8::50]/"],
  fingerprint: Array.from({ length: 32 }, (_, i) => (i * 7).toString(16).padStart(2, "0"))
    .join(":")
    .toUpperCase(),
  claimed: false,
  domain: null,
  email: null,
  setupCode: "K7QW-M3XP-9TRA",
  recoveredAt: null,
  status: "ok",
  uptimeMs: 65_000,
  apps: [],
  memory: { usedBytes: 0.15 * gb, totalBytes: gb },
  disk: { usedBytes: 0.3 * gb, totalBytes: 8 * gb },
  errors: [],
  certificates: [],
  upgrade: null,
};

export const claimed: Facts = {
  ...unclaimed,
  claimed: true,
  domain: "example.com",
  email: "me@example.com",
  setupCode: null,
  uptimeMs: 3 * 86_400_000,
  memory: { usedBytes: 0.7 * gb, totalBytes: gb },
  disk: { usedBytes: 7 * gb, totalBytes: 8 * gb },
  apps: [
    { name: "notes", state: "running", reason: null, rssBytes: 61e6 },
    { name: "blog", state: "static", reason: null, rssBytes: 0 },
    { name: "shop", state: "crashed", reason: "5 crashes in 60 s", rssBytes: 0 },
    { name: "chat", state: "sleeping", reason: null, rssBytes: 0 },
  ],
  errors: [{ at: noon - 60_000, text: "shop: exited with code 1" }],
  certificates: ["shop.example.com: ends in 3 days"],
  upgrade: "The upgrade to 0.2.0 was taken back: it is slow; 0.1.0 runs again.",
};

/** A terminal of 80 by 24 without colours. */
export const large: Look = { columns: 80, rows: 24, color: false, unicode: true, moves: true };

/** A database that cannot be opened. */
export const broken: Trouble = {
  target: "storage",
  code: "EBADMSG",
  message: 'cannot open "/var/lib/fazt/data.db": the database is damaged',
  hint: "restore a backup, or the replica",
  at: noon,
};

/** A console that has seen the machine so, and on which these keys were pressed. */
export function stateAfter(
  facts: Facts | null,
  keys: string,
  { recovery = false, trouble = null }: { recovery?: boolean; trouble?: Trouble | null } = {},
): State {
  const seen = step(firstState(noon, recovery), { kind: "facts", facts, trouble }).state;
  return readKeys(keys).keys.reduce((state, key) => step(state, { kind: "key", key }).state, seen);
}

const machines: Readonly<Record<string, (keys: string) => State>> = {
  unclaimed: (keys) => stateAfter(unclaimed, keys),
  offline: (keys) => stateAfter({ ...unclaimed, urls: [], fingerprint: null }, keys),
  claimed: (keys) => stateAfter(claimed, keys),
  quiet: (keys) =>
    stateAfter({ ...claimed, apps: [], errors: [], certificates: [], upgrade: null }, keys),
  recovery: (keys) => stateAfter(claimed, keys, { recovery: true }),
  trouble: (keys) => stateAfter(null, keys, { trouble: broken }),
  silent: (keys) => step(stateAfter(null, keys), { kind: "tick", now: noon + 30_000 }).state,
};

const folder = new URL("./golden/console/", import.meta.url).pathname;

export interface ScreenCase {
  readonly path: string;
  readonly text: string;
  readonly head: string;
}

/** Every screen there is a file of. */
export function screenCases(): ScreenCase[] {
  return readdirSync(folder)
    .sort()
    .map((name) => {
      const path = folder + name;
      const text = readFileSync(path, "utf8");
      return { path, text, head: text.split("\n", 1)[0] ?? "" };
    });
}

/** A line without its styles; the light modules of a QR code in spaces as signs. */
function bare(line: string): string {
  const signs = line.replaceAll("\x1b[7m  ", "\x1b[7m##");
  return Bun.stripANSI(signs).trimEnd();
}

/** What the file of a case should hold: its first line, then the screen without its styles. */
export function screenText({ path, head }: Pick<ScreenCase, "path" | "head">): string {
  const found = /^> (\d+)x(\d+)( ascii)? ([a-z]+)(?: (".*"))?$/.exec(head);
  const make = machines[found?.[4] ?? ""];
  if (found === null || make === undefined) throw new Error(`${path} must begin with "> 80x24 …"`);
  const [, columns, rows, ascii, , keys = '""'] = found;
  const look: Look = {
    columns: Number(columns),
    rows: Number(rows),
    color: false,
    unicode: ascii === undefined,
    moves: true,
  };
  // Times of day are those of this zone, whoever runs it.
  process.env["TZ"] = "UTC";
  const { lines } = view(look, make(JSON.parse(keys) as string));
  return `${head}\n${lines.map(bare).join("\n")}\n`;
}
