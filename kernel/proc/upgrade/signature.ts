/**
 * Signatures in minisign's format (jedisct1.github.io/minisign, "Signature format"): made and
 * verified here, and by the `minisign` command as well.
 *
 *     untrusted comment: …
 *     base64( "ED" | key id (8) | Ed25519 over BLAKE2b-512 of the text (64) )
 *     trusted comment: …
 *     base64( Ed25519 over the signature and the trusted comment (64) )
 *
 * Rules: nothing of a text is looked at before its signature has been verified; the trusted comment
 * is verified too. Only the hashed kind ("ED") is taken. Secret keys are minisign's without a
 * password (`minisign -G -W`): whoever keeps one keeps its file.
 */
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { SysError } from "../../errno.ts";

/** Whose signature is believed. */
export interface PublicKey {
  /** 8 bytes as minisign prints them: hexadecimal, the last byte first. */
  readonly id: string;
  readonly bytes: Uint8Array;
}

interface SecretKey {
  readonly id: Uint8Array;
  readonly seed: Uint8Array;
}

/** Key pairs as the files that minisign writes. */
export interface KeyFiles {
  readonly publicKey: string;
  readonly secretKey: string;
}

const algorithm = { plain: "Ed", hashed: "ED", checksum: "B2" } as const;
/** DER before the 32 bytes of a key (RFC 8410). */
const spki = Uint8Array.fromHex("302a300506032b6570032100");
const pkcs8 = Uint8Array.fromHex("302e020100300506032b657004220420");

const joined = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const idText = (id: Uint8Array): string => id.toReversed().toHex().toUpperCase();

function blake(bits: 256 | 512, ...parts: Uint8Array[]): Uint8Array {
  const hash = new Bun.CryptoHasher(bits === 256 ? "blake2b256" : "blake2b512");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** The bytes of a line of base64 of this length, beginning with these letters; null otherwise. */
function decoded(line: string | undefined, lengthBytes: number, head: string): Uint8Array | null {
  try {
    const bytes = Uint8Array.fromBase64(line?.trim() ?? "");
    const begins = Buffer.from(bytes).toString("latin1", 0, head.length) === head;
    return bytes.length === lengthBytes && begins ? bytes : null;
  } catch {
    // No base64.
    return null;
  }
}

/** Reads the text of a public key file, or its second line alone. EINVAL. */
export function publicKeyOf(text: string): PublicKey {
  const lines = text.trim().split("\n");
  const bytes = decoded(lines.at(-1), 42, algorithm.plain);
  if (bytes !== null) return { id: idText(bytes.slice(2, 10)), bytes: bytes.slice(10) };
  throw new SysError("EINVAL", "cannot read a public key: it is not in minisign's format", {
    hint: "it is the second line of a .pub file, 56 letters of base64",
  });
}

function secretKeyOf(text: string): SecretKey {
  const bytes = decoded(text.trim().split("\n").at(-1), 158, algorithm.plain);
  const refuse = (state: string, hint: string) =>
    new SysError("EINVAL", `cannot read the secret key: ${state}`, { hint });
  if (bytes === null) throw refuse("it is not in minisign's format", "minisign -G -W makes one");
  if (bytes[2] !== 0 || bytes[3] !== 0) {
    throw refuse("it has a password", "take the password off: minisign -C -W");
  }
  const [id, pair, sum] = [bytes.slice(54, 62), bytes.slice(62, 126), bytes.slice(126)];
  const right = blake(256, ascii(algorithm.plain), id, pair);
  // minisign leaves the sum of a key without a password out.
  const told = sum.some((byte) => byte !== 0);
  if (told && Buffer.compare(right, sum) !== 0)
    throw refuse("its checksum is wrong", "copy it again");
  return { id, seed: pair.slice(0, 32) };
}

const signer = ({ seed }: Pick<SecretKey, "seed">) =>
  createPrivateKey({ key: Buffer.from(joined(pkcs8, seed)), format: "der", type: "pkcs8" });

/** The files of a key pair made of 40 unpredictable bytes: id and seed. */
export function keyFilesOf(random: Uint8Array): KeyFiles {
  const [id, seed] = [random.slice(0, 8), random.slice(8, 40)];
  const der = createPublicKey(signer({ seed })).export({ format: "der", type: "spki" });
  const bytes = new Uint8Array(der).slice(spki.length);
  const pair = joined(seed, bytes);
  const sum = blake(256, ascii(algorithm.plain), id, pair);
  const head = joined(ascii(algorithm.plain), new Uint8Array(2), ascii(algorithm.checksum));
  const secret = joined(head, new Uint8Array(48), id, pair, sum);
  const name = `minisign public key ${idText(id)}`;
  const shown = joined(ascii(algorithm.plain), id, bytes).toBase64();
  return {
    publicKey: `untrusted comment: ${name}\n${shown}\n`,
    secretKey: `untrusted comment: minisign secret key ${idText(id)}\n${secret.toBase64()}\n`,
  };
}

/** The text of a signature file. EINVAL for a key that cannot be read. */
export function signText(text: Uint8Array, secretKey: string, comment: string): string {
  const key = secretKeyOf(secretKey);
  const mine = signer(key);
  const signature = new Uint8Array(sign(null, blake(512, text), mine));
  const whole = new Uint8Array(sign(null, joined(signature, ascii(comment)), mine));
  return [
    `untrusted comment: signature from fazt's release key ${idText(key.id)}`,
    joined(ascii(algorithm.hashed), key.id, signature).toBase64(),
    `trusted comment: ${comment}`,
    `${whole.toBase64()}\n`,
  ].join("\n");
}

/**
 * Whether one of the keys has signed this text, trusted comment and all. Answers the key's id.
 * EBADMSG (no signature, or a wrong one), EKEYREJECTED (a key that is not ours).
 */
export function verifySignature(
  text: Uint8Array,
  signature: string,
  keys: readonly PublicKey[],
): string {
  const refuse = (state: string) =>
    new SysError("EBADMSG", `cannot trust the release: ${state}`, {
      hint: "fetch it again from where it was published; nothing of it was used",
    });
  const [, first, third = "", fourth] = signature.split("\n");
  const bytes = decoded(first, 74, algorithm.hashed);
  const whole = decoded(fourth, 64, "");
  if (bytes === null || whole === null || !third.startsWith("trusted comment: ")) {
    throw refuse("its signature is damaged");
  }
  const id = idText(bytes.slice(2, 10));
  const key = keys.find((known) => known.id === id);
  if (key === undefined) {
    throw new SysError("EKEYREJECTED", `cannot trust the release: nobody here knows key ${id}`, {
      hint: `this program trusts ${keys.map((known) => known.id).join(" and ")}`,
    });
  }
  const verifier = createPublicKey({
    key: Buffer.from(joined(spki, key.bytes)),
    format: "der",
    type: "spki",
  });
  const mine = bytes.slice(10);
  if (!verify(null, blake(512, text), verifier, mine)) throw refuse("its signature is wrong");
  const comment = ascii(third.slice("trusted comment: ".length));
  if (!verify(null, joined(mine, comment), verifier, whole)) throw refuse("its comment is forged");
  return id;
}
