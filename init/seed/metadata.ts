/**
 * The HTTP client for a cloud's metadata service: at first boot the network may not be up yet, so
 * it asks again until its patience ends; answers are bounded; redirects and proxies are not followed.
 */
import { SysError } from "../../kernel/errno.ts";
import type { Site } from "./source.ts";

/** Milliseconds one request may take. */
const requestMsMax = 5000;
/** Bytes of an answer: user-data is at most 64 KB anywhere. */
const answerBytesMax = 1024 * 1024;

export interface Ask {
  readonly method?: "GET" | "PUT";
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Metadata {
  /** The text of an answer; null for 404. ETIMEDOUT (nobody answers), EIO (refused), EFBIG. */
  get(path: string, ask?: Ask): Promise<string | null>;
  /** An answer in JSON; null for 404. EBADMSG when it is none. */
  json(path: string, ask?: Ask): Promise<unknown>;
}

async function textOf(response: Response, path: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body ?? []) {
    size += piece.length;
    if (size > answerBytesMax) {
      throw new SysError("EFBIG", `cannot read "${path}": more than ${answerBytesMax} bytes`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** The client of one reading; its patience is for all requests together. */
export function createMetadata({ machine, metadataUrl, patienceMs, retryMs }: Site): Metadata {
  const untilMs = machine.monotonicMs() + patienceMs;

  async function once(path: string, { method = "GET", headers = {} }: Ask) {
    const signal = AbortSignal.timeout(Math.min(requestMsMax, patienceMs));
    const request = { method, headers, signal, redirect: "manual", keepalive: false } as const;
    const response = await fetch(metadataUrl + path, request);
    if (response.status === 404) return null;
    if (response.ok) return await textOf(response, path);
    const { status } = response;
    // Services that are starting answer so; everything else would be the same again.
    if (status >= 500 || status === 429) throw new Error(`answered ${status}`);
    throw new SysError("EIO", `cannot read "${path}": the metadata service answered ${status}`);
  }

  async function get(path: string, ask: Ask = {}): Promise<string | null> {
    for (;;) {
      try {
        return await once(path, ask);
      } catch (error) {
        if (error instanceof SysError) throw error;
        if (machine.monotonicMs() + retryMs > untilMs) {
          const why = error instanceof Error ? error.message : String(error);
          throw new SysError("ETIMEDOUT", `cannot read "${path}": ${why}`, {
            hint: "the metadata service is asked again at the next boot",
          });
        }
        await new Promise<void>((resolve) => machine.after(retryMs, resolve));
      }
    }
  }

  return {
    get,
    async json(path, ask) {
      const text = await get(path, ask);
      if (text === null) return null;
      try {
        return JSON.parse(text);
      } catch {
        throw new SysError("EBADMSG", `cannot read "${path}": it is not JSON`);
      }
    },
  };
}

/** The base64 of a text, or the text itself when it is none. */
export function fromBase64(text: string): string {
  const bare = text.replace(/\s/g, "");
  const shaped = /^[A-Za-z0-9+/]+={0,2}$/.test(bare) && bare.length % 4 === 0;
  return shaped ? Buffer.from(bare, "base64").toString("utf8") : text;
}
