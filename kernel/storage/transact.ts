/**
 * Several changes of keys and documents as one: all of them happen, or none, in one durable write.
 *
 * Rules: the changes are made in their order, and each sees those before it; a refusal names the
 * change that met it; everything that can be refused early is refused before the transaction.
 */
import { SysError } from "../errno.ts";
import type { Docs } from "./doc/mod.ts";
import type { Kv, KvScope, Work } from "./kv.ts";
import type { Storage } from "./storage.ts";

/** One change, or a `check`: a precondition that changes nothing. */
export type TransactOp =
  | {
      readonly op: "kv.set";
      readonly key: string;
      readonly value?: unknown;
      readonly ttlMs?: number | undefined;
      readonly ifVersion?: number | undefined;
    }
  | { readonly op: "kv.rm"; readonly key: string; readonly ifVersion?: number | undefined }
  | { readonly op: "kv.incr"; readonly key: string; readonly by?: number | undefined }
  | { readonly op: "kv.check"; readonly key: string; readonly ifVersion: number }
  | {
      readonly op: "doc.put";
      readonly collection: string;
      readonly id?: string | undefined;
      readonly doc: unknown;
      readonly ifVersion?: number | undefined;
    }
  | {
      readonly op: "doc.rm";
      readonly collection: string;
      readonly id: string;
      readonly ifVersion?: number | undefined;
    }
  | {
      readonly op: "doc.check";
      readonly collection: string;
      readonly id: string;
      readonly ifVersion: number;
    };

/** What became of one change. */
export interface TransactResult {
  readonly op: TransactOp["op"];
  /** The version it has now; null where a change leaves none (`rm`, `check`). */
  readonly version: number | null;
  /** The document's id (`doc.put`), or null. */
  readonly id: string | null;
  /** The sum (`kv.incr`), or null. */
  readonly sum: number | null;
  /** Whether it was there (`rm`), or null. */
  readonly removed: boolean | null;
}

export type Transact = (scope: KvScope, ops: readonly TransactOp[]) => Promise<TransactResult[]>;

/** Transactions over the plans of keys and documents. */
export function createTransact(on: { kv: Kv; docs: Docs; write: Storage["write"] }): Transact {
  return async (scope, ops) => {
    const works = ops.map((op, i) => named(op, i, () => planned(on, scope, op)));
    const essential = ops.every(({ op }) => op.endsWith(".rm") || op.endsWith(".check"));
    return await on.write(
      (tx) => ops.map((op, i) => named(op, i, () => works[i]?.(tx) ?? nothing(op.op))),
      { essential },
    );
  };
}

const nothing = (op: TransactOp["op"]): TransactResult => ({
  op,
  version: null,
  id: null,
  sum: null,
  removed: null,
});

/** A refusal says which change met it. */
function named<T>(op: TransactOp, place: number, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new SysError(error.code, `${error.message} (change ${place + 1}, ${op.op})`, {
      cause: error,
      hint: error.hint ?? "nothing of the transaction was kept",
    });
  }
}

function planned(
  { kv, docs }: { kv: Kv; docs: Docs },
  scope: KvScope,
  op: TransactOp,
): Work<TransactResult> {
  const then = <T>(work: Work<T>, tell: (value: T) => Partial<TransactResult>) =>
    ((tx) => ({ ...nothing(op.op), ...tell(work(tx)) })) satisfies Work<TransactResult>;
  switch (op.op) {
    case "kv.set":
      return then(kv.plan.set(scope, { key: op.key, value: op.value }, op), ({ version }) => ({
        version,
      }));
    case "kv.rm": {
      const remove = kv.plan.rm(scope, op.key);
      const { ifVersion } = op;
      const check = ifVersion === undefined ? null : kv.plan.check(scope, op.key, ifVersion);
      return then(
        (tx) => {
          check?.(tx);
          return remove(tx);
        },
        (removed) => ({ removed }),
      );
    }
    case "kv.incr":
      return then(kv.plan.incr(scope, op.key, op.by ?? 1), ({ version, value }) => ({
        version,
        sum: value as number,
      }));
    case "kv.check":
      return then(kv.plan.check(scope, op.key, op.ifVersion), () => ({}));
    case "doc.put":
      return then(docs.plan.put(scope, op, op), ({ id, version }) => ({ id, version }));
    case "doc.rm":
      return then(docs.plan.rm(scope, op, op), (removed) => ({ removed }));
    case "doc.check":
      return then(docs.plan.check(scope, op, op.ifVersion), () => ({}));
  }
}
