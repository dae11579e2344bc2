/**
 * A cartridge from its address into a file of its own, whole and with the digest that was promised,
 * before the kernel sees a byte of it.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../../kernel/errno.ts";
import type { Word } from "./step.ts";

/** Bytes of a cartridge that is fetched. */
const cartridgeBytesMax = 4 * 1024 * 1024 * 1024;

export interface FetchedCartridge extends AsyncDisposable {
  stream(): ReadableStream<Uint8Array>;
}

interface Wanted {
  readonly url: string;
  readonly sha256?: string | undefined;
}

/** Asks until somebody answers or patience ends: the network may have come up just now. */
async function answerOf({ url }: Wanted, { site }: Word): Promise<Response> {
  const shown = new URL(url).origin;
  const untilMs = site.machine.monotonicMs() + site.patienceMs;
  for (;;) {
    try {
      const response = await fetch(url);
      if (response.ok) return response;
      throw new SysError("EIO", `cannot fetch an app from ${shown}: answered ${response.status}`);
    } catch (error) {
      if (error instanceof SysError) throw error;
      if (site.machine.monotonicMs() + site.retryMs > untilMs) {
        throw new SysError("ETIMEDOUT", `cannot fetch an app from ${shown}: nobody answers`);
      }
      await new Promise<void>((resolve) => site.machine.after(site.retryMs, resolve));
    }
  }
}

/** Fetches it. ETIMEDOUT, EIO, EFBIG, EBADMSG (another digest). */
export async function fetchCartridge(wanted: Wanted, word: Word): Promise<FetchedCartridge> {
  const dir = join(word.dataDir, "run");
  mkdirSync(dir, { recursive: true });
  const path = join(dir, `seed-${word.site.machine.id("cart")}`);
  const drop = () => rmSync(path, { force: true });
  try {
    const response = await answerOf(wanted, word);
    const hasher = new Bun.CryptoHasher("sha256");
    const writer = Bun.file(path).writer();
    let size = 0;
    for await (const piece of response.body ?? []) {
      size += piece.length;
      if (size > cartridgeBytesMax) {
        throw new SysError("EFBIG", `cannot fetch an app: more than ${cartridgeBytesMax} bytes`);
      }
      hasher.update(piece);
      writer.write(piece);
      await writer.flush();
    }
    await writer.end();
    if (wanted.sha256 !== undefined && hasher.digest("hex") !== wanted.sha256) {
      throw new SysError("EBADMSG", "cannot restore an app: its file has another SHA-256");
    }
  } catch (error) {
    drop();
    throw error;
  }
  return { stream: () => Bun.file(path).stream(), [Symbol.asyncDispose]: async () => drop() };
}
