/**
 * The rows of `net_cert`: certificates with their keys, which are sealed with the machine key.
 *
 * Rules: a certificate and its key are written together, whole, or not at all; a key that cannot be
 * unsealed leaves its certificate out and says so in the log.
 */
import type { Security } from "../../security/mod.ts";
import type { Storage, Tx } from "../../storage/mod.ts";

/** A certificate with its key; times in Unix ms. */
export interface Keyed {
  /** What it is listed under: its first name. */
  readonly name: string;
  readonly names: readonly string[];
  readonly issuer: "self" | "acme";
  /** PEM, the certificate itself first. */
  readonly chain: string;
  /** PKCS 8 PEM. */
  readonly key: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly createdAt: number;
}

interface Row {
  readonly name: string;
  readonly names: string;
  readonly issuer: "self" | "acme";
  readonly chain: string;
  readonly sealedKey: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly createdAt: number;
}

export interface CertStore {
  all(): Keyed[];
  /** Puts a certificate within a transaction. */
  put(tx: Tx, cert: Keyed): void;
  /** Removes within a transaction. */
  rm(tx: Tx, name: string): void;
}

const contextOf = (name: string): string => `net.cert.${name}`;

export function createCertStore(storage: Storage, security: Security): CertStore {
  const keyOf = ({ name, sealedKey }: Row): string | null => {
    try {
      return Buffer.from(security.unseal(sealedKey, contextOf(name))).toString();
    } catch (error) {
      const text = `cannot use the certificate of "${name}": ${String(error)}`;
      const about = { app: "kernel", appId: null, releaseId: null };
      storage.logs.append({ ...about, level: "error", text });
      return null;
    }
  };
  return {
    all: () => {
      const rows = storage.read.all<Row>(
        `SELECT name, names, issuer, chain, sealed_key AS sealedKey, not_before AS notBefore,
           not_after AS notAfter, created_at AS createdAt FROM net_cert ORDER BY name`,
      );
      return rows.flatMap((row) => {
        const key = keyOf(row);
        const { sealedKey, ...rest } = row;
        return key === null ? [] : [{ ...rest, names: JSON.parse(row.names) as string[], key }];
      });
    },
    put: (tx, { name, names, issuer, chain, key, notBefore, notAfter, createdAt }) => {
      const sealed = security.seal(Buffer.from(key), contextOf(name));
      tx.run(
        `INSERT INTO net_cert (name, names, issuer, chain, sealed_key, not_before, not_after,
           created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (name) DO UPDATE SET names = excluded.names, issuer = excluded.issuer,
           chain = excluded.chain, sealed_key = excluded.sealed_key,
           not_before = excluded.not_before, not_after = excluded.not_after,
           created_at = excluded.created_at`,
        ...[name, JSON.stringify(names), issuer, chain, sealed, notBefore, notAfter, createdAt],
      );
    },
    rm: (tx, name) => tx.run("DELETE FROM net_cert WHERE name = ?", name),
  };
}
