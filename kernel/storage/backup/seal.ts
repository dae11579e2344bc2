/**
 * Encryption of a backup with age (age-encryption.org/v1): for recipients (`age1…`), or with a
 * passphrase. The file is what the `age` command writes and reads. Streams both ways; damage and a
 * missing end are told by age itself.
 */
import { Decrypter, Encrypter } from "age-encryption";
import { SysError } from "../../errno.ts";
import { damaged } from "./format.ts";

/** What opens an encrypted backup: a passphrase, or age identities (`AGE-SECRET-KEY-…`). */
export interface Unlock {
  readonly passphrase: string | null;
  readonly identities: readonly string[];
}

const ageMagic = new TextEncoder().encode("age-encryption.org/v1");

/** Checks what a backup is to be encrypted for. EINVAL. */
export function checkRecipients(recipients: readonly string[], passphrase: string | null): void {
  if (recipients.length > 0 && passphrase !== null) {
    throw new SysError("EINVAL", "cannot encrypt for recipients and with a passphrase", {
      hint: "give one of the two: age takes a passphrase alone",
    });
  }
  for (const recipient of recipients) {
    try {
      new Encrypter().addRecipient(recipient);
    } catch (cause) {
      throw new SysError(
        "EINVAL",
        `cannot encrypt for "${recipient.slice(0, 80)}": no age recipient`,
        {
          hint: "give the public key that age-keygen printed: age1…",
          cause,
        },
      );
    }
  }
}

/** The encrypted form of these bytes. */
export async function seal(
  bytes: Iterable<Uint8Array>,
  { recipients, passphrase }: { recipients: readonly string[]; passphrase: string | null },
): Promise<ReadableStream<Uint8Array>> {
  const encrypter = new Encrypter();
  if (passphrase !== null) encrypter.setPassphrase(passphrase);
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  return encrypter.encrypt(streamOf(bytes));
}

/** A pull stream of an iterator, whose end is run when the stream is given up. */
function streamOf(
  bytes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): ReadableStream<Uint8Array> {
  const iterator =
    Symbol.asyncIterator in bytes ? bytes[Symbol.asyncIterator]() : bytes[Symbol.iterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await iterator.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Begins with the pieces already read, goes on with the rest. */
async function* rejoined(
  first: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

/** A backup's bytes, decrypted when they are encrypted. EKEYREJECTED, ENOKEY, EBADMSG. */
export async function* unsealed(
  bytes: AsyncIterable<Uint8Array>,
  { passphrase, identities }: Unlock,
): AsyncGenerator<Uint8Array> {
  const iterator = bytes[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  for (let size = 0; size < ageMagic.length; ) {
    const next = await iterator.next();
    if (next.done === true) break;
    first.push(next.value);
    size += next.value.length;
  }
  const all = rejoined(first, iterator);
  const start = Buffer.concat(first).subarray(0, ageMagic.length);
  if (!start.equals(ageMagic)) return yield* all;
  const decrypter = new Decrypter();
  if (passphrase !== null) decrypter.addPassphrase(passphrase);
  for (const identity of identities) decrypter.addIdentity(identity);
  if (passphrase === null && identities.length === 0) {
    throw new SysError("ENOKEY", "cannot read the backup: it is encrypted", {
      hint: "give --passphrase-file or --identity-file",
    });
  }
  yield* decrypted(decrypter, all);
}

async function* decrypted(
  decrypter: Decrypter,
  bytes: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const stream = await decrypter.decrypt(streamOf(bytes)).catch((cause: unknown) => {
    const message = "cannot read the backup: the key does not open it, or its head is damaged";
    throw new SysError("EKEYREJECTED", message, { hint: "give the key it was made for", cause });
  });
  try {
    for await (const piece of stream) yield piece;
  } catch (cause) {
    if (cause instanceof SysError) throw cause;
    throw Object.assign(damaged("the encrypted file", "is damaged or cut short"), { cause });
  }
}
