/**
 * A cartridge from its address into a file of its own, whole and with the digest that was promised,
 * before the kernel sees a byte of it.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../../kernel/errno.ts";
import type { Machine } from "../../kernel/machine.ts";
import type { Word } from "./step.ts";

/** Bytes of a cartridge that is fetched. */
const cartridgeBytesMax = 4 * 1024 * 1024 * 1024;
/** Answers in a row that lead elsewhere. */
const redirectsMax = 5;
/** Milliseconds without a byte after which nobody sends any more. */
const silenceMs = 60_000;

export interface FetchedCartridge extends AsyncDisposable {
  stream(): ReadableStream<Uint8Array>;
}

interface Wanted {
  readonly url: string;
  readonly sha256?: string | undefined;
}

/**
 * Where an answer leads to. EIO when anybody between could put another file in: an address that is
 * not https, for a file without a digest. Pure.
 */
export function leadsTo({ url, sha256 }: Wanted, location: string): URL {
  const to = URL.parse(location, url);
  if (to?.protocol === "https:" || (to?.protocol === "http:" && sha256 !== undefined)) return to;
  const { origin } = new URL(url);
  const why = to === null ? "what is no address" : `${to.protocol}//${to.host}, which is not https`;
  throw new SysError("EIO", `cannot fetch an app from ${origin}: it leads to ${why}`);
}

/** The answer at the end of what it leads to. */
async function follow(wanted: Wanted, signal: AbortSignal): Promise<Response> {
  let { url } = wanted;
  for (let hop = 0; hop <= redirectsMax; hop++) {
    const response = await fetch(url, { redirect: "manual", signal });
    const location = response.headers.get("location");
    if (location === null || ![301, 302, 303, 307, 308].includes(response.status)) return response;
    await response.body?.cancel();
    url = leadsTo({ ...wanted, url }, location).href;
  }
  const { origin } = new URL(wanted.url);
  throw new SysError("EIO", `cannot fetch an app from ${origin}: it leads on and on`);
}

/** Ends what has been silent for too long. */
interface Silence extends Disposable {
  readonly signal: AbortSignal;
  heard(): void;
}

function silence(machine: Machine): Silence {
  const ended = new AbortController();
  const begin = () => machine.after(silenceMs, () => ended.abort());
  let timer = begin();
  return {
    signal: ended.signal,
    heard: () => {
      timer.cancel();
      timer = begin();
    },
    [Symbol.dispose]: () => timer.cancel(),
  };
}

/** Asks until somebody answers or patience ends: the network may have come up just now. */
async function answerOf(wanted: Wanted, { site }: Word, quiet: Silence): Promise<Response> {
  const shown = new URL(wanted.url).origin;
  const untilMs = site.machine.monotonicMs() + site.patienceMs;
  for (;;) {
    try {
      quiet.heard();
      const response = await follow(wanted, quiet.signal);
      if (response.ok) return response;
      throw new SysError("EIO", `cannot fetch an app from ${shown}: answered ${response.status}`);
    } catch (error) {
      if (error instanceof SysError) throw error;
      if (quiet.signal.aborted || site.machine.monotonicMs() + site.retryMs > untilMs) {
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
  using quiet = silence(word.site.machine);
  try {
    const response = await answerOf(wanted, word, quiet);
    const hasher = new Bun.CryptoHasher("sha256");
    const writer = Bun.file(path).writer();
    let size = 0;
    for await (const piece of response.body ?? []) {
      quiet.heard();
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
    if (error instanceof SysError || !quiet.signal.aborted) throw error;
    throw new SysError("ETIMEDOUT", "cannot fetch an app: its sender fell silent");
  }
  return { stream: () => Bun.file(path).stream(), [Symbol.asyncDispose]: async () => drop() };
}
