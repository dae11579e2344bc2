/**
 * The machine key: 32 bytes in `<dataDir>/machine.key` (0600), made on the first boot. It seals
 * every secret in the database, so that a stolen backup of the database alone tells none.
 *
 * Sealed form, for ever: byte 0 is the version (1), bytes 1–12 the nonce, then the ciphertext, then
 * a tag of 16 bytes: AES-256-GCM (NIST SP 800-38D), with version and context as associated data.
 * Rules: the database knows a check value of its key, so a lost or foreign key is told at once; a
 * new key is never made beside a database that another key has sealed.
 */
import { Database } from "bun:sqlite";
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { assert } from "../assert.ts";
import { SysError } from "../errno.ts";
import { syncPath } from "../sync.ts";

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const version = 1;

export interface MachineKey {
  /** Seals bytes, bound to a context. `nonce` is 12 bytes that were never used before. */
  seal(plain: Uint8Array, context: string, nonce: Uint8Array): Uint8Array;
  /** EBADMSG when the bytes, the key or the context are not the ones that sealed. */
  unseal(sealed: Uint8Array, context: string): Uint8Array;
  /** What the database keeps to recognise this key; tells nothing of it. */
  readonly check: string;
}

/** The key on the disk, or null. EBADMSG when damaged, EACCES when others can read it. */
function readKey(dataDir: string): Uint8Array | null {
  const path = join(dataDir, "machine.key");
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOENT") return null;
    throw new SysError("EACCES", `cannot read "machine.key": ${code}`, {
      hint: "make it a plain file that belongs to the user fazt runs as",
      cause,
    });
  }
  try {
    if ((fstatSync(file).mode & 0o077) !== 0) closeToOthers(path);
    const bytes = readFileSync(file);
    if (bytes.length === keyBytes) return new Uint8Array(bytes);
    throw new SysError("EBADMSG", `cannot use "machine.key": ${bytes.length} bytes and not 32`, {
      hint: "put the machine.key of this data directory back from where it was kept",
    });
  } finally {
    closeSync(file);
  }
}

function closeToOthers(path: string): void {
  try {
    chmodSync(path, 0o600);
  } catch (cause) {
    throw new SysError("EACCES", 'cannot use "machine.key": others can read it', {
      hint: "make it belong to the user fazt runs as, with mode 0600",
      cause,
    });
  }
}

/** Writes a new key so that it is whole and on the disk, or absent. Replaces an old one. */
function writeKey(dataDir: string, key: Uint8Array): void {
  assert(key.length === keyBytes, "a machine key has 32 bytes");
  const path = join(dataDir, "machine.key");
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  const file = openSync(draft, "wx", 0o600);
  try {
    const written = writeSync(file, key);
    assert(written === keyBytes, "the machine key is written whole");
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
  syncPath(dirname(path));
}

/** What a database that these 32 bytes have sealed knows of them. */
export const keyCheckOf = (key: Uint8Array): string => machineKey(key).check;

/** What a database says of the machine it is of. */
export interface MachineOf {
  readonly domain: string | null;
}

/**
 * Whose machine a database is, which nobody else has open. Refuses a key that has not sealed what is
 * in it (EKEYREJECTED); null: none is given.
 */
export function machineOf(path: string, keyCheck: string | null): MachineOf {
  type Row = { key_check: string | null; domain: string | null };
  const db = new Database(path, { readonly: true });
  let row: Row | null;
  try {
    row = db.query<Row, []>("SELECT key_check, domain FROM security_machine WHERE id = 1").get();
  } finally {
    db.close();
  }
  const known = row?.key_check ?? null;
  if (keyCheck !== null && known !== null && known !== keyCheck) {
    throw new SysError("EKEYREJECTED", "cannot use the machine key: it is another machine's", {
      hint: "give the machine.key of the data directory that was replicated",
    });
  }
  return { domain: row?.domain ?? null };
}

/** The key as it is used. */
function machineKey(key: Uint8Array): MachineKey {
  const aad = (context: string) => Buffer.concat([Buffer.of(version), Buffer.from(context)]);
  return {
    check: Buffer.from(hkdfSync("sha256", key, "", "fazt machine key check", 16)).toString("hex"),
    seal(plain, context, nonce) {
      assert(nonce.length === nonceBytes, "a nonce has 12 bytes");
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(aad(context));
      const body = [cipher.update(plain), cipher.final(), cipher.getAuthTag()];
      return new Uint8Array(Buffer.concat([Buffer.of(version), nonce, ...body]));
    },
    unseal(sealed, context) {
      try {
        assert(sealed.length >= 1 + nonceBytes + tagBytes, "sealed bytes are long enough");
        assert(sealed[0] === version, "sealed bytes are of version 1");
        const nonce = sealed.subarray(1, 1 + nonceBytes);
        const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
        decipher.setAAD(aad(context)).setAuthTag(sealed.subarray(-tagBytes));
        const body = decipher.update(sealed.subarray(1 + nonceBytes, -tagBytes));
        return new Uint8Array(Buffer.concat([body, decipher.final()]));
      } catch (cause) {
        throw new SysError("EBADMSG", `cannot unseal "${context}": bytes, key or context differ`, {
          hint: "set the secret again",
          cause,
        });
      }
    },
  };
}

/** What stands in for a key that is lost: refuses everything, so that nothing is sealed twice. */
function lostKey(): MachineKey {
  const refuse = (): never => {
    throw new SysError("EBADMSG", 'cannot use "machine.key": it is not the one of this database', {
      hint: "fazt security key set --key-file machine.key, or fazt security key renew when it is lost",
    });
  };
  return { check: "", seal: refuse, unseal: refuse };
}

/** The key of this machine, made when there is none yet; `known` is what the database says. */
export function openKey(
  dataDir: string,
  known: { readonly check: string | null; readonly claimed: boolean },
  random: (n: number) => Uint8Array,
): MachineKey {
  const bytes = readKey(dataDir);
  if (bytes !== null) {
    const key = machineKey(bytes);
    // Before the claim only the setup code is sealed, and another one is easily made.
    return known.check === null || !known.claimed || known.check === key.check ? key : lostKey();
  }
  if (known.claimed && known.check !== null) return lostKey();
  const fresh = random(keyBytes);
  writeKey(dataDir, fresh);
  return machineKey(fresh);
}

/**
 * Puts a key back beside the database it has sealed. EINVAL when it is none, EKEYREJECTED when it is
 * another machine's.
 */
export function putKeyBack(dataDir: string, key: Uint8Array, check: string | null): void {
  if (key.length !== keyBytes) {
    throw new SysError("EINVAL", `cannot use the machine key: ${key.length} bytes and not 32`, {
      hint: "give the machine.key of the old data directory",
    });
  }
  if (check !== null && keyCheckOf(key) !== check) {
    throw new SysError("EKEYREJECTED", "cannot use the machine key: it is another machine's", {
      hint: "give the machine.key of the data directory whose database this is",
    });
  }
  writeKey(dataDir, key);
}

/** The 32 bytes of the key that has sealed what is in the database. ENOENT while it is lost. */
export function keyToKeep(dataDir: string, check: string | null): Uint8Array {
  const key = readKey(dataDir);
  if (key !== null && (check === null || keyCheckOf(key) === check)) return key;
  throw new SysError("ENOENT", "cannot show the machine key: it is lost", {
    hint: "fazt security key set --key-file machine.key, or fazt security key renew when it is lost",
  });
}

/** A new key in place of the one that is lost; `note` keeps its check before it is used. */
export async function renewKey(
  dataDir: string,
  random: (n: number) => Uint8Array,
  note: (check: string) => Promise<void>,
): Promise<void> {
  const fresh = random(keyBytes);
  // A cut in between leaves a key that is not the database's, as before.
  await note(keyCheckOf(fresh));
  writeKey(dataDir, fresh);
}
