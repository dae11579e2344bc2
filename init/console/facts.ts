/**
 * What the console shows of the machine, gathered from the kernel's own calls and from Linux.
 * Pure but for `gather`; no call here changes anything.
 */
import { readFileSync } from "node:fs";
import type { Client } from "../../cli/client.ts";

export interface AppFact {
  readonly name: string;
  readonly state: string;
  readonly reason: string | null;
  readonly rssBytes: number;
}

export interface ErrorFact {
  /** Unix ms. */
  readonly at: number;
  readonly text: string;
}

export interface Facts {
  readonly version: string;
  readonly hostname: string;
  /** Base URLs people can open, best first. */
  readonly urls: readonly string[];
  /** SHA-256 of the certificate shown to browsers; null without HTTPS. */
  readonly fingerprint: string | null;
  readonly claimed: boolean;
  readonly domain: string | null;
  readonly email: string | null;
  readonly setupCode: string | null;
  /** When the root password was replaced at the machine, Unix ms. */
  readonly recoveredAt: number | null;
  /** As `/sys/health` has it. */
  readonly status: string;
  readonly uptimeMs: number;
  readonly apps: readonly AppFact[];
  readonly memory: Room;
  readonly disk: Room;
  readonly errors: readonly ErrorFact[];
  /** What is wrong with certificates, a sentence each. */
  readonly certificates: readonly string[];
  /** Why the last upgrade did not stay, while that is news; else null. */
  readonly upgrade: string | null;
}

/** How much there is and how much is taken, bytes. */
export interface Room {
  readonly usedBytes: number;
  readonly totalBytes: number;
}

interface Names {
  readonly hostname: string;
  readonly mdnsName: string | null;
  readonly addresses: readonly string[];
}

interface Listening {
  readonly http: string | null;
  readonly https?: string | null;
}

const usual: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };

/** The URLs of a machine: every address under the scheme and port it listens on. Pure. */
export function urlsOf({ http, https }: Listening, names: Names): string[] {
  const base = https ?? http;
  if (base === null || base === undefined) return [];
  const { protocol, port, hostname } = new URL(base);
  const suffix = port === "" || port === usual[protocol] ? "" : `:${port}`;
  const every = hostname === "localhost";
  const isLong = (address: string) => Number(address.includes(":"));
  // The short ones first: they are typed by hand.
  const routable = names.addresses
    .filter((address) => !/^fe80:/i.test(address))
    .sort((a, b) => isLong(a) - isLong(b));
  const hosts = every ? [...routable, ...(names.mdnsName === null ? [] : [names.mdnsName])] : [];
  const shown = hosts.length > 0 ? hosts : [hostname];
  return shown.map((host) => {
    const bare = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
    return `${protocol}//${bare}${suffix}/`;
  });
}

/** Memory in use, from the text of /proc/meminfo (proc_meminfo(5)). Pure. */
export function memoryOf(meminfo: string): Room {
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(meminfo)?.[1] ?? 0) * 1024;
  const totalBytes = bytes("MemTotal");
  return { totalBytes, usedBytes: totalBytes - bytes("MemAvailable") };
}

interface Certificate {
  readonly name: string;
  readonly issuer: string;
  readonly fingerprint: string;
  readonly expiresAt: number;
  /** Why it could not be renewed, where the kernel says so. */
  readonly problem?: string | null;
}

const dayMs = 86_400_000;

/** What is wrong with certificates at `now` (Unix ms). Pure. */
export function certificateTrouble(list: readonly Certificate[], now: number): string[] {
  return list.flatMap(({ name, issuer, expiresAt, problem }) => {
    if (problem) return [`${name}: ${problem}`];
    if (issuer === "self") return [];
    const days = Math.floor((expiresAt - now) / dayMs);
    if (days < 0) return [`${name}: expired`];
    return days < 7 ? [`${name}: ends in ${days} ${days === 1 ? "day" : "days"}`] : [];
  });
}

interface Tried {
  readonly at: number;
  readonly outcome: string;
  readonly sentence: string;
}

/** Why the newest upgrade did not stay, for a week. Pure. */
function upgradeTrouble(newest: Tried | undefined, now: number): string | null {
  if (newest === undefined || now - newest.at > 7 * dayMs) return null;
  return ["reverted", "failed", "interrupted"].includes(newest.outcome) ? newest.sentence : null;
}

interface Owner {
  readonly claimed: boolean;
  readonly domain: string | null;
  readonly email: string | null;
  readonly setupCode: string | null;
  readonly recoveredAt: number | null;
}

interface Space {
  readonly diskFreeBytes: number;
  readonly diskTotalBytes: number;
}

async function textOf(client: Client, path: string): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of client.bytes("fs.read", { path })) {
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

const errorsShown = 5;

async function errorsOf(client: Client): Promise<ErrorFact[]> {
  const found: ErrorFact[] = [];
  const query = { app: "kernel", level: "error", since: "1d", limit: errorsShown };
  for await (const line of client.lines("proc.logs", query)) {
    const { at, text } = line as ErrorFact;
    found.unshift({ at, text: text.split("\n", 1)[0] ?? "" });
  }
  return found;
}

/** Everything the console shows. ECONNREFUSED while no kernel answers. */
export async function gather(client: Client, now: number): Promise<Facts> {
  const ask = async <T>(name: string): Promise<T> => (await client.json(name)) as T;
  const newest = client.json("proc.upgrade.history", { limit: 1 }) as Promise<Tried[]>;
  const [owner, names, listening, space, apps, certificates, errors, health, tried] =
    await Promise.all([
      ask<Owner>("security.owner"),
      ask<Names>("net.iface.status"),
      ask<Listening>("net.status"),
      ask<Space>("storage.status"),
      ask<AppFact[]>("proc.ls"),
      ask<Certificate[]>("net.cert.ls"),
      errorsOf(client),
      textOf(client, "/sys/health"),
      newest,
    ]);
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(health)?.[1] ?? "";
  const self = certificates.find(({ issuer }) => issuer === "self");
  const { diskFreeBytes, diskTotalBytes } = space;
  return {
    ...owner,
    version: field("version"),
    status: field("status"),
    uptimeMs: Number(field("uptimeMs")),
    hostname: names.hostname,
    urls: urlsOf(listening, names),
    fingerprint: listening.https ? (self?.fingerprint ?? null) : null,
    apps: apps.map(({ name, state, reason, rssBytes }) => ({ name, state, reason, rssBytes })),
    memory: memoryOf(readFileSync("/proc/meminfo", "utf8")),
    disk: { usedBytes: diskTotalBytes - diskFreeBytes, totalBytes: diskTotalBytes },
    errors,
    certificates: certificateTrouble(certificates, now),
    upgrade: upgradeTrouble(tried[0], now),
  };
}
