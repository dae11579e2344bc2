/**
 * What the owner has said of networks: denied, allowed (never limited), or a trusted proxy.
 *
 * Rules: the narrowest network that holds an address decides; this very machine is never denied; a
 * change holds from the next packet on, and a rule with an end ends by itself.
 */
import { SysError } from "../../errno.ts";
import type { Machine, Timer } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { isLoopback } from "../host.ts";
import { knownMax, rulesMax } from "./limits.ts";
import { addressText, bytesOf, contains, type Network, readNetwork } from "./network.ts";

export type Verdict = "deny" | "allow" | "proxy";

export interface ClientRule {
  /** In CIDR notation. */
  readonly network: string;
  readonly verdict: Verdict;
  readonly note: string;
  /** Unix ms; null: until it is removed. */
  readonly endsAt: number | null;
  readonly createdAt: number;
}

/** What a rule is made of. */
export interface ClientWish {
  readonly network: string;
  readonly verdict: Verdict;
  readonly note: string;
  /** How long it holds, ms; null: until it is removed. */
  readonly forMs: number | null;
}

export interface Verdicts {
  ls(): readonly ClientRule[];
  /** Makes or replaces the rule of a network. EINVAL (also: this very machine denied), EDQUOT. */
  put(wish: ClientWish): Promise<ClientRule>;
  /** ENOENT, EINVAL. */
  rm(network: string): Promise<string>;
  of(address: string): Verdict | null;
  /** Rules about who may come at all, narrowest first. */
  readonly ranked: readonly Ranked[];
  has(verdict: Verdict): boolean;
  close(): void;
}

export interface Ranked extends Network {
  readonly verdict: Verdict;
}

/** An owner under attack, who may have filled the disk, can still defend the machine. */
const defence = { essential: true } as const;

/** The verdict of the narrowest network that holds an address. Pure. */
export function verdictOf(ranked: readonly Ranked[], address: string): Verdict | null {
  if (ranked.length === 0 || isLoopback(address)) return proxyAtHome(ranked, address);
  const bytes = bytesOf(address);
  if (bytes === null) return null;
  return ranked.find((rule) => contains(rule, bytes))?.verdict ?? null;
}

/** Whether all of a network is this very machine (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3). */
const isHome = ({ bytes, bits }: Network): boolean =>
  bytes.length === 4
    ? bytes[0] === 127 && bits >= 8
    : bits === 128 && isLoopback(addressText(bytes));

/** This very machine is never denied, but may well be a proxy. */
function proxyAtHome(ranked: readonly Ranked[], address: string): Verdict | null {
  const bytes = ranked.length === 0 ? null : bytesOf(address);
  if (bytes === null) return null;
  return ranked.some((rule) => rule.verdict === "proxy" && contains(rule, bytes)) ? "proxy" : null;
}

/** Narrowest first. Pure. */
export function rank(rules: readonly ClientRule[]): Ranked[] {
  return rules
    .map(({ network, verdict }) => ({ ...readNetwork(network), verdict }))
    .sort((a, b) => b.bits / b.bytes.length - a.bits / a.bytes.length);
}

/** Takes up what was said before. `changed` is told after every change. */
export function createVerdicts(
  { machine, storage }: { readonly machine: Machine; readonly storage: Storage },
  changed: () => void,
): Verdicts {
  const select =
    "SELECT network, verdict, note, until AS endsAt, created_at AS createdAt FROM net_client ORDER BY network";
  const rules = new Map(
    storage.read
      .all<ClientRule & Record<string, never>>(select)
      .map((row) => [row.network, row as ClientRule]),
  );
  let ranked: Ranked[] = [];
  let known = new Map<string, Verdict | null>();
  let timer: Timer | null = null;

  const live = () =>
    [...rules.values()].filter(({ endsAt }) => (endsAt ?? Infinity) > machine.now());
  /** A timer is set for a day at most; it looks again then. */
  const longestMs = 86_400_000;
  const refresh = (): void => {
    const now = live();
    ranked = rank(now);
    known = new Map();
    timer?.cancel();
    const ends = Math.min(...now.map(({ endsAt }) => endsAt ?? Infinity)) - machine.now();
    timer = ends === Infinity ? null : machine.after(Math.min(ends + 1, longestMs), again);
  };
  const again = (): void => {
    refresh();
    changed();
  };
  refresh();

  return {
    ls: live,
    put: async ({ network: text, verdict, note, forMs }) => {
      const read = readNetwork(text);
      const network = read.text;
      if (verdict === "deny" && isHome(read)) {
        throw new SysError("EINVAL", `cannot deny "${network}": it is this very machine`, {
          hint: `a proxy here has clients of its own: fazt net client trust ${network}`,
        });
      }
      if (live().length >= rulesMax && !rules.has(network)) {
        throw new SysError("EDQUOT", `cannot add "${network}": ${rulesMax} rules are there`, {
          hint: "say it with a wider network, or remove one: fazt net client rm NETWORK",
        });
      }
      const createdAt = machine.now();
      const endsAt = forMs === null ? null : createdAt + forMs;
      const rule = { network, verdict, note, endsAt, createdAt };
      await storage.write((tx) => {
        tx.run("DELETE FROM net_client WHERE network = ? OR until <= ?", network, createdAt);
        const values = [network, verdict, note, endsAt, createdAt];
        tx.run("INSERT INTO net_client VALUES (?, ?, ?, ?, ?)", ...values);
      }, defence);
      for (const [key, { endsAt: end }] of rules)
        if ((end ?? Infinity) <= createdAt) rules.delete(key);
      rules.set(network, rule);
      again();
      return rule;
    },
    rm: async (text) => {
      const network = readNetwork(text).text;
      if (!rules.has(network)) {
        throw new SysError("ENOENT", `cannot remove "${network}": no such rule`, {
          hint: "see them: fazt net client ls",
        });
      }
      await storage.write(
        (tx) => tx.run("DELETE FROM net_client WHERE network = ?", network),
        defence,
      );
      rules.delete(network);
      again();
      return network;
    },
    of: (address) => {
      if (ranked.length === 0) return null;
      let verdict = known.get(address);
      if (verdict === undefined) {
        if (known.size >= knownMax) known = new Map();
        verdict = verdictOf(ranked, address);
        known.set(address, verdict);
      }
      return verdict;
    },
    get ranked() {
      return ranked;
    },
    has: (verdict) => ranked.some((rule) => rule.verdict === verdict),
    close: () => timer?.cancel(),
  };
}
