/**
 * Random interleavings of changes and queries of keys and documents, alone and in transactions,
 * against a simple model in memory. The seed is printed when it fails; FAZT_SEED replays one.
 */
import { expect, test } from "bun:test";
import { generator } from "../../tests/damage.ts";
import { SysError } from "../errno.ts";
import { temporaryStorage } from "./testing.ts";
import type { TransactOp } from "./transact.ts";

const scope = { appId: "app_a", userId: null };
const seeds = process.env["FAZT_SEED"]
  ? [Number(process.env["FAZT_SEED"])]
  : [1, 2, 3, 3580132302, Bun.hash.crc32(crypto.randomUUID())];
const rounds = 150;

interface Held {
  readonly version: number;
  readonly value: unknown;
}

/** One namespace of the model: values with versions that never repeat. */
class Space {
  readonly held = new Map<string, Held>();
  floor = 0;

  version = (name: string) => this.held.get(name)?.version ?? 0;

  set(name: string, value: unknown): number {
    const version = (this.held.get(name)?.version ?? this.floor) + 1;
    this.held.set(name, { version, value });
    return version;
  }

  rm(name: string): boolean {
    this.floor = Math.max(this.floor, this.version(name));
    return this.held.delete(name);
  }

  copy(): Space {
    const copy = new Space();
    for (const [name, held] of this.held) copy.held.set(name, held);
    copy.floor = this.floor;
    return copy;
  }
}

interface World {
  readonly kv: Space;
  readonly docs: Space;
}

/** What a change comes to in the model: its result, or an errno. */
function applied(world: World, op: TransactOp): unknown {
  const space = op.op.startsWith("kv") ? world.kv : world.docs;
  const name = "key" in op ? op.key : (op.id ?? "");
  const stale = "ifVersion" in op && op.ifVersion !== undefined;
  if (stale && space.version(name) !== op.ifVersion) return "ESTALE";
  if (op.op === "kv.set") return space.set(name, op.value);
  if (op.op === "doc.put") return space.set(name, op.doc);
  if (op.op === "kv.rm" || op.op === "doc.rm") return space.rm(name);
  if (op.op !== "kv.incr") return null;
  const held = space.held.get(name);
  const value = held === undefined ? 0 : held.value;
  if (typeof value !== "number" || !Number.isSafeInteger(value)) return "EINVAL";
  const sum = value + (op.by ?? 1);
  return Number.isSafeInteger(sum) ? space.set(name, sum) : "ERANGE";
}

type Filter = Readonly<Record<string, unknown>>;

const at = (doc: unknown, field: string): unknown =>
  field.split(".").reduce<unknown>((value, part) => {
    const inside = typeof value === "object" && value !== null && !Array.isArray(value);
    return inside && Object.hasOwn(value, part) ? (value as Filter)[part] : undefined;
  }, doc);

function holds(value: unknown, operator: string, operand: unknown): boolean {
  const same = (a: unknown, b: unknown) =>
    (a === b && typeof a !== "object") || (a === null && b === null);
  const ordered = typeof value === typeof operand && ["number", "string"].includes(typeof value);
  const order = ordered ? compared(value, operand) : null;
  switch (operator) {
    case "$eq":
      return same(value, operand);
    case "$ne":
      return !same(value, operand);
    case "$in":
      return (operand as unknown[]).some((one) => same(value, one));
    case "$nin":
      return !(operand as unknown[]).some((one) => same(value, one));
    case "$exists":
      return (value !== undefined) === operand;
    case "$contains":
      if (Array.isArray(value)) return value.some((one) => same(one, operand));
      return typeof value === "string" && typeof operand === "string" && value.includes(operand);
    default:
      if (order === null) return false;
      return (
        { $gt: order > 0, $gte: order >= 0, $lt: order < 0, $lte: order <= 0 }[operator] ?? false
      );
  }
}

function compared(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}

const ranks: Record<string, number> = { undefined: 0, number: 4, string: 5 };

/** Class, then number or the first 256 characters up to a NUL. */
function sortKey(value: unknown): [number, number | string] {
  if (typeof value === "string") {
    return [5, [...(value.split("\0")[0] ?? "")].slice(0, 256).join("")];
  }
  if (typeof value === "number") return [4, value];
  if (value === null) return [1, 0];
  if (typeof value === "boolean") return [value ? 3 : 2, 0];
  return [ranks[typeof value] ?? 6, 0];
}

function found(docs: Space, where: Filter, sort: string | undefined, down: boolean): string[] {
  const ids = [...docs.held].filter(([, { value }]) =>
    Object.entries(where).every(([field, test]) =>
      Object.entries(test as Filter).every(([operator, operand]) =>
        holds(at(value, field), operator, operand),
      ),
    ),
  );
  const keyed = ids.map(([id, { value }]) => ({
    id,
    key: sortKey(sort === undefined ? undefined : at(value, sort)),
  }));
  keyed.sort((a, b) => a.key[0] - b.key[0] || compared(a.key[1], b.key[1]) || compared(a.id, b.id));
  const order = keyed.map(({ id }) => id);
  return down ? order.reverse() : order;
}

/** Draws everything of one run from its seed. */
function drawing(random: () => number) {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const bits = new DataView(new ArrayBuffer(8));
  const anyNumber = (): number => {
    bits.setUint32(0, random() * 2 ** 32);
    bits.setUint32(4, random() * 2 ** 32);
    const number = bits.getFloat64(0);
    return Number.isFinite(number) ? number : 0;
  };
  const texts = [
    "",
    "a",
    "A",
    "ä",
    "a\0b",
    "\u{1f600}",
    "\uffee",
    "10",
    "x".repeat(300),
    `${"x".repeat(300)}y`,
  ];
  const scalar = () =>
    pick<() => unknown>([
      () => null,
      () => random() < 0.5,
      () => Math.floor(random() * 6) - 2,
      () => Math.floor(random() * 8) / 4,
      anyNumber,
      () => 2 ** Math.floor(random() * 70),
      () => pick(texts),
    ])();
  const value = () =>
    pick<() => unknown>([
      scalar,
      scalar,
      scalar,
      () => [scalar(), scalar()],
      () => ({ c: scalar() }),
    ])();
  const fields = ["a", "b", "b.c", "ü x"];
  const doc = () =>
    Object.fromEntries(
      ["a", "b", "ü x"].filter(() => random() < 0.8).map((name) => [name, value()]),
    );
  const id = () => pick(["1", "10", "2", "é", "\u{1f600}", "z", "Z", "m", "n", "o"]);
  const key = () => pick(["k", "l", "m"]);
  const version = () => (random() < 0.6 ? undefined : Math.floor(random() * 6));
  const op = (): TransactOp =>
    pick<() => TransactOp>([
      () => ({ op: "kv.set", key: key(), value: value(), ifVersion: version() }),
      () => ({ op: "kv.rm", key: key(), ifVersion: version() }),
      () => ({ op: "kv.incr", key: key(), by: Math.floor(random() * 9) - 4 }),
      () => ({ op: "kv.check", key: key(), ifVersion: version() ?? 0 }),
      () => ({ op: "doc.put", collection: "c", id: id(), doc: doc(), ifVersion: version() }),
      () => ({ op: "doc.put", collection: "c", id: id(), doc: doc() }),
      () => ({ op: "doc.rm", collection: "c", id: id(), ifVersion: version() }),
      () => ({ op: "doc.check", collection: "c", id: id(), ifVersion: version() ?? 0 }),
    ])();
  const test = (): Filter =>
    pick<() => Filter>([
      () => ({ $eq: scalar() }),
      () => ({ $ne: scalar() }),
      () => ({
        [pick(["$gt", "$gte", "$lt", "$lte"])]: pick([
          () => Math.floor(random() * 4),
          anyNumber,
          () => pick(texts),
        ])(),
      }),
      () => ({ $gte: -1, $lt: 2 }),
      () => ({ [pick(["$in", "$nin"])]: [scalar(), scalar(), scalar()] }),
      () => ({ $contains: scalar() }),
      () => ({ $exists: random() < 0.5 }),
    ])();
  const where = (): Filter =>
    Object.fromEntries(fields.filter(() => random() < 0.3).map((field) => [field, test()]));
  return { pick, op, where, fields, random };
}

type Storing = ReturnType<typeof temporaryStorage>["storage"];

/** A single change through its own call; a check has none of its own. */
async function alone({ kv, docs }: Storing, op: TransactOp): Promise<unknown> {
  switch (op.op) {
    case "kv.set":
      return (await kv.set(scope, { key: op.key, value: op.value }, op)).version;
    case "kv.incr":
      return (await kv.incr(scope, op.key, op.by ?? 1)).version;
    case "doc.put":
      return (await docs.put(scope, op, op)).version;
    case "doc.rm":
      return await docs.rm(scope, op, op);
    default:
      return null;
  }
}

const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.catch((error: unknown) => {
    if (error instanceof SysError) return error.code;
    throw error;
  });

test.each(seeds)("seed %i", async (seed) => {
  await using opened = temporaryStorage({ limits: { docIndexRows: 3 } });
  const { storage } = opened;
  const draw = drawing(generator(seed));
  let world: World = { kv: new Space(), docs: new Space() };

  const transact = async (): Promise<void> => {
    const ops = Array.from({ length: 1 + Math.floor(draw.random() * 5) }, draw.op);
    const next = { kv: world.kv.copy(), docs: world.docs.copy() };
    let wanted: unknown = "done";
    for (const op of ops) {
      const result = applied(next, op);
      if (typeof result !== "string") continue;
      wanted = result;
      break;
    }
    if (wanted === "done") world = next;
    const got = await outcome(storage.transact(scope, ops).then(() => "done"));
    expect({ seed, ops, got }).toEqual({ seed, ops, got: wanted });
  };
  const one = async (): Promise<void> => {
    const op = draw.op();
    if (op.op.endsWith(".check") || op.op === "kv.rm") return await transact();
    const wanted = applied(world, op);
    expect({ seed, op, got: await outcome(alone(storage, op)) }).toEqual({ seed, op, got: wanted });
  };
  const look = async (): Promise<void> => {
    const where = draw.where();
    const sort = draw.pick([undefined, ...draw.fields]);
    const order = draw.pick(["asc", "desc"] as const);
    const limit = 1 + Math.floor(draw.random() * 12);
    const got: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await storage.docs.find(scope, {
        collection: "c",
        where,
        sort,
        order,
        limit,
        cursor,
      });
      for (const { id, doc, version } of page.entries) {
        got.push(id);
        expect({ version, doc }).toEqual({
          version: world.docs.version(id),
          doc: world.docs.held.get(id)?.value,
        });
      }
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
    const wanted = found(world.docs, where, sort, order === "desc");
    expect({ seed, where, sort, order, got }).toEqual({ seed, where, sort, order, got: wanted });
  };

  for (let round = 0; round < rounds; round++) {
    const count = 1 + Math.floor(draw.random() * 6);
    await Promise.all(
      Array.from({ length: count }, () => (draw.random() < 0.3 ? transact() : one())),
    );
    await look();
    if (draw.random() < 0.1) {
      const field = { collection: "c", field: draw.pick(draw.fields) };
      await (draw.random() < 0.6
        ? storage.docs.index(scope, field)
        : storage.docs.unindex(scope, field));
    }
  }
  for (const [key, held] of world.kv.held) expect(storage.kv.get(scope, key)).toMatchObject(held);
  expect(storage.kv.ls(scope).map((entry) => entry.key)).toEqual([...world.kv.held.keys()].sort());
  const entries = "SELECT count(*) AS n FROM storage_doc_entry";
  const wanted = storage.docs.indexes(scope).length * world.docs.held.size;
  expect(storage.read.get<{ n: number }>(entries)).toEqual({ n: wanted });
});
