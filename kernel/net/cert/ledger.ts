/**
 * The rows of orders and accounts: `net_order` with each certificate's next key, `net_account` with
 * the key of each authority's account. Keys are sealed; both are written before they are used.
 */
import type { Security } from "../../security/mod.ts";
import type { Storage, Tx } from "../../storage/mod.ts";
import type { Order } from "./order.ts";

/** An order with what it is for. */
export interface Entry {
  readonly name: string;
  readonly names: readonly string[];
  readonly order: Order;
  /** The key of the certificate that is on its way, PKCS 8 PEM; null while none is. */
  readonly key: string | null;
}

export interface Account {
  readonly key: string;
  readonly url: string | null;
}

export interface Ledger {
  all(): Entry[];
  put(tx: Tx, entry: Entry): void;
  rm(tx: Tx, name: string): void;
  account(directory: string): Account | null;
  putAccount(tx: Tx, directory: string, account: Account): void;
}

interface Row {
  readonly name: string;
  readonly names: string;
  readonly state: string;
  readonly sealedKey: Uint8Array | null;
}

const orderContext = (name: string): string => `net.order.${name}`;
const accountContext = (directory: string): string => `net.account.${directory}`;

export function createLedger(storage: Storage, security: Security): Ledger {
  const seal = (text: string, context: string) => security.seal(Buffer.from(text), context);
  // What a lost machine key sealed is as good as absent: an order makes another.
  const readable = (sealed: Uint8Array, context: string): string | null => {
    try {
      return Buffer.from(security.unseal(sealed, context)).toString();
    } catch {
      return null;
    }
  };
  return {
    all: () =>
      storage.read
        .all<Row>("SELECT name, names, state, sealed_key AS sealedKey FROM net_order ORDER BY name")
        .map(({ name, names, state, sealedKey }) => ({
          name,
          names: JSON.parse(names) as string[],
          order: JSON.parse(state) as Order,
          key: sealedKey === null ? null : readable(sealedKey, orderContext(name)),
        })),
    put: (tx, { name, names, order, key }) => {
      const sealed = key === null ? null : seal(key, orderContext(name));
      tx.run(
        `INSERT INTO net_order (name, names, state, sealed_key) VALUES (?, ?, ?, ?)
         ON CONFLICT (name) DO UPDATE SET names = excluded.names, state = excluded.state,
           sealed_key = excluded.sealed_key`,
        ...[name, JSON.stringify(names), JSON.stringify(order), sealed],
      );
    },
    rm: (tx, name) => tx.run("DELETE FROM net_order WHERE name = ?", name),
    account: (directory) => {
      const select = "SELECT sealed_key AS sealedKey, url FROM net_account WHERE directory = ?";
      const row = storage.read.get<{ sealedKey: Uint8Array; url: string | null }>(
        select,
        directory,
      );
      if (row === null) return null;
      const key = readable(row.sealedKey, accountContext(directory));
      return key === null ? null : { key, url: row.url };
    },
    putAccount: (tx, directory, { key, url }) => {
      tx.run(
        `INSERT INTO net_account (directory, sealed_key, url) VALUES (?, ?, ?)
         ON CONFLICT (directory) DO UPDATE SET sealed_key = excluded.sealed_key, url = excluded.url`,
        ...[directory, seal(key, accountContext(directory)), url],
      );
    },
  };
}
