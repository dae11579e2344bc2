/**
 * Carries orders through: does what each state asks for, writes what came of it, and comes back
 * when the next is due. The decisions are `order.ts`'s and `plan.ts`'s.
 *
 * Rules: a state is on the disk before its action is done; one action an order at a time, and
 * `ordersAtOnce` orders; nothing is asked of an authority for a host that is not wanted any more.
 */
import { X509Certificate } from "node:crypto";
import type { Machine, Timer } from "../../machine.ts";
import type { Storage, Tx } from "../../storage/mod.ts";
import { type DnsProvider, ProviderError } from "../dns/mod.ts";
import { type Authority, AuthorityError } from "./authority.ts";
import { certIdOf } from "./identifier.ts";
import type { Entry, Ledger } from "./ledger.ts";
import { ordersAtOnce } from "./limits.ts";
import {
  type Action,
  actionOf,
  advance,
  dueAt,
  type Event,
  isIdle,
  newOrder,
  type Proof,
} from "./order.ts";
import { renewalAt, type Wanted, withinWindow } from "./plan.ts";
import { newKey } from "./self.ts";
import type { Keyed } from "./store.ts";

export interface WorkerOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly ledger: Ledger;
  /** The authority of now, with an account. */
  authority(): Promise<Authority>;
  /** The DNS provider of now, or null. */
  provider(): DnsProvider | null;
  /** Resolves when the record can be seen, or after a while. */
  seen(proof: Proof): Promise<void>;
  /** The certificate that is kept under this name. */
  kept(name: string): Keyed | null;
  /** Takes a new certificate, with the entry that says so, in one write. */
  install(cert: Keyed, entry: Entry): Promise<void>;
  /** An order was given up until later, and why: for the log. */
  refused(name: string, why: string): void;
  /** Something could not be kept, or went wrong in a way nobody thought of. */
  failed(error: unknown): void;
}

export interface Worker {
  /** Reads what was under way. */
  open(): void;
  /** Makes the list of certificates to have this one. */
  want(wanted: readonly Wanted[]): void;
  entries(): readonly Entry[];
  /** Whether there is an order, or a certificate to renew, of this name. */
  has(name: string): boolean;
  /** Makes an order due now; false when there is none of this name. */
  hurry(name: string): boolean;
  /** What HTTP shows to whoever asks for a token (RFC 8555, 8.3), or null. */
  proofOf(token: string): string | null;
  /** Asks the authority when it wants renewals. */
  askRenewals(): Promise<void>;
  close(): void;
}

export function createWorker(options: WorkerOptions): Worker {
  const { machine, storage, ledger, failed } = options;
  const entries = new Map<string, Entry>();
  const running = new Set<string>();
  /** Those that may have been ordered, and whose URL did not come back: killed, or no reply. */
  const lost = new Set<string>();
  let wanted = new Map<string, Wanted>();
  let timer: Timer | null = null;
  let closed = false;
  const moment = () => ({ now: machine.now(), chance: machine.chance() });

  const write = async (entry: Entry): Promise<void> => {
    await storage.write((tx) => ledger.put(tx, entry), { essential: true });
    const before = entries.get(entry.name)?.order.problem ?? null;
    entries.set(entry.name, entry);
    const { problem, step } = entry.order;
    if (problem !== null && problem !== before && step.kind === "waiting") {
      options.refused(entry.name, problem.text);
    }
  };

  /** One action, and what came of it. */
  const perform = async (entry: Entry, action: Action): Promise<Event> => {
    const { step } = entry.order;
    switch (action) {
      case "plan":
        return { kind: "due" };
      case "order": {
        const before = options.kept(entry.name);
        const authority = await options.authority();
        const replaces = before === null ? null : certIdOf(before.chain);
        const about = { replaces, lost: lost.has(entry.name) };
        lost.add(entry.name);
        const url = await authority.order(entry.names, about);
        lost.delete(entry.name);
        return { kind: "ordered", url };
      }
      case "unset":
        if (step.kind === "waiting") await unset(options.provider(), step.leftovers);
        return { kind: "unset" };
      default:
        return await performWithUrl(entry, action, options);
    }
  };

  const install = async (entry: Entry, chain: string): Promise<void> => {
    const { key, name, names } = entry;
    if (key === null) throw new Error(`the key of "${name}" is lost`);
    const cert = certOf({ name, names, chain, key, createdAt: machine.now() });
    const event = { kind: "installed", renewAt: renewalAt(cert, machine.chance()) } as const;
    const order = advance(entry.order, event, moment());
    const done = { ...entry, order, key: null };
    await options.install(cert, done);
    entries.set(name, done);
  };

  const turn = async (entry: Entry): Promise<void> => {
    const action = actionOf(entry.order);
    if (action === "download" && entry.order.step.kind === "issued") {
      const authority = await options.authority();
      return await install(entry, await authority.download(entry.order.step.certificate));
    }
    const event = await perform(entry, action);
    const order = advance(entry.order, event, moment());
    // The key is there, on the disk, before an authority hears of the order.
    const key = action === "plan" ? newKey() : order.step.kind === "waiting" ? null : entry.key;
    await write({ ...entry, order, key });
  };

  const run = async (name: string): Promise<void> => {
    for (;;) {
      const entry = entries.get(name);
      if (closed || entry === undefined || dueAt(entry.order) > machine.now()) return;
      if (!wanted.has(name) && isIdle(entry.order)) return;
      try {
        await turn(entry);
      } catch (error) {
        if (closed) return;
        await write({ ...entry, order: advance(entry.order, failureOf(error), moment()) });
      }
    }
  };

  /** The entry a certificate begins with, where there is none, or one for other names. */
  const entryFor = ({ name, names }: Wanted): Entry[] => {
    const same = (known: { names: readonly string[] } | null | undefined) =>
      known?.names.join() === names.join();
    const known = entries.get(name);
    // One that is under way comes to its end first, and is looked at then.
    if (same(known) || running.has(name) || (known && !isIdle(known.order))) return [];
    const kept = options.kept(name);
    const good = kept !== null && same(kept);
    const at = good ? renewalAt(kept, machine.chance()) : machine.now();
    return [{ name, names, order: newOrder(at), key: null }];
  };

  const change = (gone: readonly string[], fresh: readonly Entry[]): void => {
    for (const name of gone) entries.delete(name);
    for (const entry of fresh) entries.set(entry.name, entry);
    if (gone.length + fresh.length === 0) return;
    const work = (tx: Tx): void => {
      for (const name of gone) ledger.rm(tx, name);
      for (const entry of fresh) ledger.put(tx, entry);
    };
    storage.write(work, { essential: true }).catch(failed);
  };

  /** Forgets certificates nobody wants any more; records that were set are taken away first. */
  const drop = (names: readonly string[]): void => {
    const failure = { kind: "failed", transient: false, retryAfterMs: null } as const;
    const left = names.flatMap((name) => {
      const entry = entries.get(name);
      if (entry === undefined || running.has(name) || isIdle(entry.order)) return [];
      const text = "the host is not routed any more";
      return [{ ...entry, order: advance(entry.order, { ...failure, text }, moment()) }];
    });
    const kept = new Set(left.filter(({ order }) => !isIdle(order)).map(({ name }) => name));
    const gone = names.filter((name) => entries.has(name) && !running.has(name) && !kept.has(name));
    change(
      gone,
      left.filter(({ name }) => kept.has(name)),
    );
  };

  const finished = (name: string): void => {
    running.delete(name);
    const one = wanted.get(name);
    if (one === undefined) drop([name]);
    else change([], entryFor(one));
    pump();
  };

  const pump = (): void => {
    if (closed) return;
    timer?.cancel();
    const now = machine.now();
    const idle = [...entries.values()].filter(
      ({ name, order }) => !running.has(name) && (wanted.has(name) || !isIdle(order)),
    );
    const due = idle.filter(({ order }) => dueAt(order) <= now);
    for (const { name } of due.slice(0, ordersAtOnce - running.size)) {
      running.add(name);
      void run(name)
        .catch((error: unknown) => {
          // The state could not be written: what is in memory is what is on the disk; later.
          failed(error);
          const entry = entries.get(name);
          if (entry === undefined) return;
          entries.set(name, { ...entry, order: { ...entry.order, at: machine.now() + 60_000 } });
        })
        .finally(() => finished(name));
    }
    const next = Math.min(...idle.map(({ order }) => dueAt(order)).filter((at) => at > now));
    // A timer is at most some days long; whoever wakes early looks and sleeps again.
    if (next < Infinity) timer = machine.after(Math.min(next - now, 86_400_000), pump);
  };

  return {
    open: () => {
      for (const entry of ledger.all()) {
        entries.set(entry.name, entry);
        if (entry.order.step.kind === "planned") lost.add(entry.name);
      }
    },
    want: (list) => {
      wanted = new Map(list.map((one) => [one.name, one]));
      drop([...entries.keys()].filter((name) => !wanted.has(name)));
      change([], list.flatMap(entryFor));
      pump();
    },
    entries: () => [...entries.values()],
    has: (name) => entries.has(name),
    hurry: (name) => {
      const entry = entries.get(name);
      if (entry === undefined) return false;
      const order = { ...entry.order, at: machine.now() };
      entries.set(name, { ...entry, order });
      pump();
      return true;
    },
    proofOf: (token) => {
      for (const { order } of entries.values()) {
        if (!("proofs" in order.step)) continue;
        const found = order.step.proofs.find((proof) => proof.token === token);
        if (found?.kind === "http-01") return found.value;
      }
      return null;
    },
    askRenewals: async () => {
      const authority = await options.authority();
      for (const entry of [...entries.values()]) {
        const kept = options.kept(entry.name);
        const certId = kept === null ? null : certIdOf(kept.chain);
        if (certId === null || entry.order.step.kind !== "waiting" || closed) continue;
        const told = await authority.renewal(certId);
        if (told === null) continue;
        const at = withinWindow(told.window, entry.order.at, machine.chance());
        const now = entries.get(entry.name);
        if (now === entry && at < entry.order.at && !running.has(entry.name)) {
          await write({ ...entry, order: { ...entry.order, at } });
        }
      }
      pump();
    },
    close: () => {
      closed = true;
      timer?.cancel();
    },
  };
}

/** The actions of an order that the authority knows. */
async function performWithUrl(
  entry: Entry,
  action: Action,
  options: Pick<WorkerOptions, "authority" | "provider" | "seen">,
): Promise<Event> {
  const { step } = entry.order;
  if (!("url" in step)) throw new Error(`an order without URL cannot "${action}"`);
  const authority = await options.authority();
  const proofs = "proofs" in step ? step.proofs : [];
  switch (action) {
    case "look": {
      // A wildcard can only be proved in DNS; what else can be, the public sees over HTTP.
      const wild = entry.names.some((name) => name.startsWith("*."));
      const seen = await authority.look(step.url, wild ? "dns-01" : "http-01");
      return { kind: "seen", seen };
    }
    case "set":
      await set(options, proofs);
      return { kind: "set" };
    case "answer":
      for (const proof of proofs) if (!proof.answered) await answer(authority, step.url, proof);
      return { kind: "answered" };
    case "finalize": {
      const { names, key } = entry;
      if (key === null) throw new Error(`the key of "${entry.name}" is lost`);
      return { kind: "seen", seen: await authority.finalize(step.url, { names, key }) };
    }
    default:
      throw new Error(`nobody knows how to "${action}"`);
  }
}

/** Answers a proof; that it was answered before, and the reply lost, is no failure. */
async function answer(authority: Authority, url: string, proof: Proof): Promise<void> {
  try {
    await authority.answer(proof);
  } catch (error) {
    if (!(error instanceof AuthorityError) || error.transient) throw error;
    const { proofs } = await authority.look(url, proof.kind);
    if (proofs.some((open) => open.url === proof.url && !open.answered)) throw error;
  }
}

const recordOf = ({ name }: Proof): string => `_acme-challenge.${name}`;

/** HTTP shows what it is asked for out of the order's state; DNS is set here. */
async function set(
  { provider, seen }: Pick<WorkerOptions, "provider" | "seen">,
  proofs: readonly Proof[],
): Promise<void> {
  const records = proofs.filter(({ kind }) => kind === "dns-01");
  const dns = provider();
  if (records.length === 0) return;
  if (dns === null) throw new ProviderError("no DNS provider is set any more", false);
  for (const proof of records) await dns.set(recordOf(proof), proof.value);
  await Promise.all(records.map(seen));
}

async function unset(dns: DnsProvider | null, proofs: readonly Proof[]): Promise<void> {
  if (dns === null) return;
  for (const proof of proofs) await dns.unset(recordOf(proof), proof.value);
}

function failureOf(error: unknown): Event {
  const known = error instanceof AuthorityError || error instanceof ProviderError;
  return {
    kind: "failed",
    text: error instanceof Error ? error.message : String(error),
    transient: known ? error.transient : false,
    retryAfterMs: error instanceof AuthorityError ? error.retryAfterMs : null,
  };
}

/** A certificate that has come, once it is seen to be what was asked for. */
function certOf(about: Omit<Keyed, "issuer" | "notBefore" | "notAfter">): Keyed {
  const parsed = new X509Certificate(about.chain);
  const covered = about.names.every((name) =>
    parsed.subjectAltName?.split(", ").includes(`DNS:${name}`),
  );
  if (!covered)
    throw new AuthorityError("the certificate is not for its names", { transient: false });
  const notBefore = Date.parse(parsed.validFrom);
  const notAfter = Date.parse(parsed.validTo);
  return { ...about, issuer: "acme", notBefore, notAfter };
}
