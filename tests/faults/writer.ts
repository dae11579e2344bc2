/**
 * Those who write while the kernel is killed: by HTTP and by the control socket, pairs, counters,
 * settings, files and releases. Each goes on until the kernel is gone, and tells the ledger.
 */
import { join } from "node:path";
import { kebab } from "../../kernel/call.ts";
import { noise } from "../fs.ts";
import { CallRefused, type KernelProcess } from "../process.ts";
import { absent, type Ledger } from "./ledger.ts";

export const appName = "site";
const namesEach = 24;

export interface Writing {
  readonly machine: KernelProcess;
  readonly ledger: Ledger;
  readonly chance: (below: number) => number;
}

/** One change: its name, what it will hold, and how it is made. */
interface Change {
  readonly name: string;
  readonly value: string;
  make(): Promise<unknown>;
}

type Next = (at: Writing, n: number) => Change;

/** A call over the control socket. */
async function bySocket(machine: KernelProcess, name: string, input: object): Promise<unknown> {
  const path = name.split(".").map(kebab).join("/");
  const response = await fetch(`http://fazt/sys/${path}`, {
    method: "POST",
    unix: join(machine.dataDir, "run/fazt.sock"),
    body: JSON.stringify(input),
  });
  const reply = await response.json();
  if (!response.ok) throw new CallRefused(response.status, (reply as { error: never }).error);
  return reply;
}

/** Sets and now and then removes pairs, over HTTP or the socket. */
const pairs =
  (writer: number, socket: boolean): Next =>
  ({ machine, chance }, n) => {
    const key = `w${writer}/${chance(namesEach)}`;
    const call = (name: string, input: object) =>
      socket ? bySocket(machine, name, input) : machine.call(name, input);
    const of = { app: appName, key };
    if (chance(8) === 0) {
      return { name: `kv ${key}`, value: absent, make: () => call("storage.kv.rm", of) };
    }
    const value = { n, at: chance(2 ** 31), text: "x".repeat(chance(2_000)) };
    const make = () => call("storage.kv.set", { ...of, value });
    return { name: `kv ${key}`, value: JSON.stringify(value), make };
  };

/** Counts; what the counter holds is what was counted. */
const counter = (): Next => {
  let count: number | null = null;
  return ({ machine, ledger }) => {
    count ??= Number(ledger.acknowledged("kv count") ?? 0);
    count++;
    const input = { app: appName, key: "count" };
    const make = () => bySocket(machine, "storage.kv.incr", input);
    return { name: "kv count", value: String(count), make };
  };
};

const settings: Next = ({ machine, chance }, n) => {
  const name = `V${chance(8)}`;
  const value = `${n}-${chance(2 ** 31)}`;
  const make = () => machine.call("app.env.set", { app: appName, name, value });
  return { name: `env ${name}`, value, make };
};

/** Files of the owner: small, and larger than the chunks they are stored in. */
const files: Next = ({ machine, chance }) => {
  const path = `/home/f${chance(6)}`;
  const size = chance(10) === 0 ? 2_500_000 : 1 + chance(100_000);
  const bytes = noise(size, 1 + chance(2 ** 31));
  const value = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  return { name: `file ${path}`, value, make: () => machine.call("fs.write", { path }, bytes) };
};

/** Releases: what the front page says. */
const releases: Next = ({ machine, chance }) => {
  const text = `release ${chance(2 ** 31)}`;
  const make = async () => {
    const { hash, sizeBytes } = await machine.call<{ hash: string; sizeBytes: number }>(
      ...["fs.blob.put", {}, text],
    );
    const files = [{ path: "index.html", hash, sizeBytes }];
    await machine.call("app.deploy", { name: appName, manifest: {}, files });
  };
  return { name: "page", value: text, make };
};

/** All of them, as they begin after a restart. */
export function writers(): Next[] {
  return [
    pairs(0, false),
    pairs(1, false),
    pairs(2, false),
    pairs(3, true),
    pairs(4, true),
    counter(),
    settings,
    files,
    releases,
  ];
}

/** Writes until the kernel is gone. A refusal is a defect: nothing here is wrong. */
export async function writeOn(at: Writing, next: Next): Promise<void> {
  for (let n = 0; ; n++) {
    const change = next(at, n);
    at.ledger.sent(change.name, change.value);
    try {
      await change.make();
    } catch (error) {
      if (error instanceof CallRefused) throw error;
      // The connection ended with the kernel: this change is under way for ever.
      return;
    }
    at.ledger.answered(change.name);
  }
}

/** What the kernel holds now, by the names of the ledger. */
export async function holdings(machine: KernelProcess): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const list = { app: appName, limit: 1000 };
  const entries = await machine.call<{ key: string; value: unknown }[]>("storage.kv.ls", list);
  for (const { key, value } of entries) found.set(`kv ${key}`, JSON.stringify(value));
  const env = await machine.call<{ name: string; value: string }[]>("app.env.ls", {
    app: appName,
  });
  for (const { name, value } of env) found.set(`env ${name}`, value);
  const home = await machine.call<{ path: string; hash: string }[]>("fs.ls", { path: "/home" });
  for (const { path, hash } of home) found.set(`file ${path}`, hash);
  found.set("page", await (await machine.fetch(appName, "/")).text());
  return found;
}

/** Files whose bytes are not those their hash names. */
export async function damagedFiles(machine: KernelProcess): Promise<string[]> {
  const home = await machine.call<{ path: string; hash: string }[]>("fs.ls", { path: "/home" });
  const damaged: string[] = [];
  for (const { path, hash } of home) {
    const response = await machine.fetch("os", "/sys/fs/read", {
      method: "POST",
      headers: { authorization: `Bearer ${machine.token}` },
      body: JSON.stringify({ path }),
    });
    const actual = new Bun.CryptoHasher("sha256").update(await response.bytes()).digest("hex");
    if (actual !== hash) damaged.push(path);
  }
  return damaged;
}
