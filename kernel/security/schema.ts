/**
 * The tables of security. Append-only: released statements never change.
 *
 * `security_machine` has one row (id 1); `setup_hash` is a setup code that user-data brought, `seed`
 * what first boot has done (JSON). `security_app_key` has what apps sign with, sealed. Capabilities are a JSON list of strings. Hashes are
 * SHA-256 in hex; passwords argon2id in PHC form; times Unix ms.
 */
import type { Migration } from "../storage/mod.ts";

export const migrations: readonly Migration[] = [
  {
    version: 2,
    domain: "security",
    sql: `
      CREATE TABLE security_machine (
        id INTEGER PRIMARY KEY,
        key_check TEXT,
        setup_code BLOB,
        domain TEXT,
        email TEXT,
        claimed_at INTEGER,
        recovered_at INTEGER,
        setup_hash TEXT,
        seed TEXT
      ) STRICT;
      CREATE TABLE security_user (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        password_hash TEXT NOT NULL,
        capabilities TEXT NOT NULL,
        created_at INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE security_credential (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        hash TEXT NOT NULL UNIQUE,
        user_id TEXT NOT NULL,
        parent_id TEXT,
        name TEXT NOT NULL,
        capabilities TEXT NOT NULL,
        address TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        last_used_at INTEGER
      ) STRICT;
      CREATE INDEX security_credential_user ON security_credential (user_id, kind);
      CREATE INDEX security_credential_parent ON security_credential (parent_id);
      CREATE TABLE security_app_key (
        id TEXT PRIMARY KEY,
        app_id TEXT NOT NULL,
        user_id TEXT,
        sealed BLOB NOT NULL,
        created_at INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX security_app_key_app ON security_app_key (app_id, created_at);
      CREATE TABLE security_audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        call TEXT NOT NULL,
        outcome TEXT NOT NULL,
        code TEXT,
        caller_kind TEXT NOT NULL,
        via TEXT NOT NULL,
        user_id TEXT,
        app_id TEXT,
        address TEXT,
        subject TEXT NOT NULL
      ) STRICT;
      CREATE INDEX security_audit_call ON security_audit (call, id);
      CREATE INDEX security_audit_stranger ON security_audit (id)
        WHERE outcome = 'refused' AND caller_kind = 'anonymous';
    `,
  },
];
