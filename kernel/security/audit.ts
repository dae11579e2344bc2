/**
 * The audit log: who asked for what, and what became of it. Append-only and bounded.
 *
 * Rules: the newest `auditRowsMax` rows are kept, of which refusals of strangers are at most
 * `auditStrangerRowsMax`, so that nobody without credentials can push out what the owner did.
 * Subjects come without secrets (the dispatcher's work) and are cut to `auditSubjectBytesMax`.
 */
import type { Machine } from "../machine.ts";
import type { Storage, Tx } from "../storage/mod.ts";
import {
  auditPageMax,
  auditRowsMax,
  auditStrangerRowsMax,
  auditSubjectBytesMax,
  auditTrimEvery,
} from "./limits.ts";
import type { AuditEntry, Security } from "./security.ts";

export type Audit = Security["audit"] & { trim(): Promise<number> };

const columns = `id, at, call, outcome, code, caller_kind AS callerKind, via, user_id AS userId,
  app_id AS appId, address, subject`;

/** The longest head of a text that is at most `max` bytes of UTF-8 and ends between characters. */
export function head(text: string, max: number): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= max) return text;
  let end = max;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return new TextDecoder().decode(bytes.subarray(0, end));
}

function trimRows(tx: Tx): number {
  const stranger = "outcome = 'refused' AND caller_kind = 'anonymous'";
  const strangers = tx.run(
    `DELETE FROM security_audit WHERE ${stranger} AND id <=
       (SELECT id FROM security_audit WHERE ${stranger} ORDER BY id DESC LIMIT 1 OFFSET ?)`,
    auditStrangerRowsMax,
  );
  const oldest = tx.run(
    `DELETE FROM security_audit WHERE id <=
       (SELECT id FROM security_audit ORDER BY id DESC LIMIT 1 OFFSET ?)`,
    auditRowsMax,
  );
  return strangers + oldest;
}

export function createAudit(machine: Machine, storage: Storage): Audit {
  let sinceTrim = 0;
  return {
    async add(entry) {
      const { call, outcome, code, callerKind, via, userId, appId, address } = entry;
      const subject = head(entry.subject, auditSubjectBytesMax);
      const at = machine.now();
      await storage.write(
        (tx) => {
          tx.run(
            `INSERT INTO security_audit (at, call, outcome, code, caller_kind, via, user_id, app_id,
             address, subject) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
            ...[at, call, outcome, code, callerKind, via, userId, appId, address, subject],
          );
          sinceTrim = (sinceTrim + 1) % auditTrimEvery;
          if (sinceTrim === 0) trimRows(tx);
        },
        { essential: true },
      );
    },
    ls({ limit, before, call }) {
      const filters = ["id < ?", ...(call === null ? [] : ["call = ?"])].join(" AND ");
      const values = [before ?? Number.MAX_SAFE_INTEGER, ...(call === null ? [] : [call])];
      return storage.read.all<AuditEntry>(
        `SELECT ${columns} FROM security_audit WHERE ${filters} ORDER BY id DESC LIMIT ?`,
        ...values,
        Math.min(limit, auditPageMax),
      );
    },
    trim: () => storage.write(trimRows, { essential: true }),
  };
}
