/**
 * Where a release is read from: a directory of plain files, over HTTPS or on this machine.
 *
 *     <base>/stable-x64.json            the newest release of a channel for an architecture
 *     <base>/stable-x64.json.minisig    its signature
 *     <base>/fazt-1.2.3-x64.zst         what it names
 *
 * Any static file server is an update server. A base that ends in `.json` is the manifest itself.
 *
 * Rules: nothing that is read here is believed; who reads bounds it. Plain HTTP only to this very
 * machine: the signature would hold, but whoever is between could keep us on an old release.
 */
import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import { manifestBytesMax, redirectsMax, sourceSilenceMsMax } from "./limits.ts";
import { type Arch, type Channel, type Manifest, readManifest } from "./manifest.ts";
import { type PublicKey, verifySignature } from "./signature.ts";

/** Bytes of a file from `offset` on; a server that cannot continue begins at 0. */
export interface Part {
  readonly stream: ReadableStream<Uint8Array>;
  readonly offset: number;
}

export interface Source {
  /** What it is, for people. */
  readonly name: string;
  /** A file beside the manifest. ENOENT, ETIMEDOUT, EIO. */
  open(name: string, offset: number, signal: AbortSignal): Promise<Part>;
  /** The manifest and its signature, not verified yet. ENOENT, EFBIG, ETIMEDOUT, EIO. */
  manifest(): Promise<{ readonly text: Uint8Array; readonly signature: string }>;
}

/** A release whose manifest was verified. */
export interface Release {
  readonly manifest: Manifest;
  readonly source: Source;
  /** The key that signed it. */
  readonly keyId: string;
}

/** Which release is meant where a directory is named. */
export interface Wanted {
  readonly channel: Channel;
  readonly arch: Arch;
}

/** Opens what the owner named: a URL, or a path on this machine. EINVAL. */
export function openSource(from: string, wanted: Wanted, machine: Machine): Source {
  const url = urlOf(from);
  const isManifest = url.pathname.endsWith(".json");
  if (!isManifest && !url.pathname.endsWith("/")) url.pathname += "/";
  const file = new URL(isManifest ? url : `${wanted.channel}-${wanted.arch}.json`, url);
  const base = new URL(".", file);
  const about = { from, machine };
  const get = (at: URL, offset: number, signal: AbortSignal) =>
    at.protocol === "file:" ? openFile(at, offset, about) : openUrl(at, { offset, signal, about });
  const small = async (at: URL): Promise<Uint8Array> => {
    const gone = new AbortController();
    const { stream } = await get(at, 0, gone.signal);
    return await wholeOf(stream, at).finally(() => gone.abort());
  };
  return {
    name: from,
    open: (name, offset, signal) => get(new URL(encodeURIComponent(name), base), offset, signal),
    manifest: async () => {
      const signature = await small(new URL(`${file.href}.minisig`));
      return { text: await small(file), signature: new TextDecoder().decode(signature) };
    },
  };
}

/** The release a source has, its manifest verified before it is read. EBADMSG, EKEYREJECTED. */
export async function readRelease(source: Source, keys: readonly PublicKey[]): Promise<Release> {
  const { text, signature } = await source.manifest();
  const keyId = verifySignature(text, signature, keys);
  return { manifest: readManifest(text), source, keyId };
}

function urlOf(from: string): URL {
  const refuse = (state: string) =>
    new SysError("EINVAL", `cannot read releases from "${from}": ${state}`, {
      hint: "give an https:// URL, a file:// URL, or the path of a directory on the machine",
    });
  if (from.startsWith("/")) return pathToFileURL(from);
  let url: URL;
  try {
    url = new URL(from);
  } catch {
    throw refuse("it is no URL and no absolute path");
  }
  if (url.protocol === "http:" && !isNear(url)) throw refuse("plain HTTP can be tampered with");
  if (!["https:", "http:", "file:"].includes(url.protocol)) throw refuse("no such protocol");
  if (url.username !== "" || url.password !== "") throw refuse("it has a password in it");
  return url;
}

/** Whether nobody can be between: it is this very machine. */
const isNear = ({ hostname }: URL): boolean =>
  ["localhost", "127.0.0.1", "[::1]"].includes(hostname);

/** Answers that lead elsewhere (RFC 9110, 15.4). */
const leading: readonly number[] = [301, 302, 303, 307, 308];

/** Where an answer leads to; null where what is read there could be tampered with. Pure. */
function leadsTo(url: URL, location: string): URL | null {
  const to = URL.parse(location, url.href);
  if (to?.protocol === "https:") return to;
  return to?.protocol === "http:" && isNear(to) && isNear(url) ? to : null;
}

/** The answer at the end of where others lead; a text: why it cannot be followed. */
async function follow(from: URL, init: BunFetchRequestInit): Promise<Response | string> {
  let url = from;
  for (let hop = 0; hop <= redirectsMax; hop++) {
    const response = await fetch(url, { ...init, redirect: "manual" });
    const location = response.headers.get("location");
    if (location === null || !leading.includes(response.status)) return response;
    await response.body?.cancel();
    const to = leadsTo(url, location);
    if (to === null) return "it leads to where it can be tampered with, for that is no HTTPS";
    url = to;
  }
  return "it leads on and on";
}

interface About {
  readonly from: string;
  readonly machine: Machine;
}

const absent = (from: string, name: string): SysError =>
  new SysError("ENOENT", `cannot read "${name}" from "${from}": it is not there`, {
    hint: "is it a directory of releases? It has a file such as stable-x64.json",
  });

const nameOf = (url: URL): string => decodeURIComponent(url.pathname.split("/").at(-1) ?? "");

function openFile(url: URL, offset: number, { from }: About): Promise<Part> {
  const path = fileURLToPath(url);
  if (!existsSync(path) || !statSync(path).isFile()) {
    const inside = existsSync(dirname(path)) ? nameOf(url) : path;
    return Promise.reject(absent(from, inside));
  }
  return Promise.resolve({ stream: Bun.file(path).slice(offset).stream(), offset });
}

/** Aborts with the signal, or when nothing has begun within the silence that is borne. */
async function openUrl(
  url: URL,
  { offset, signal, about }: { offset: number; signal: AbortSignal; about: About },
): Promise<Part> {
  const { from, machine } = about;
  const silent = new AbortController();
  const timer = machine.after(sourceSilenceMsMax, () => silent.abort());
  const failed = (state: string, cause?: unknown) =>
    new SysError("EIO", `cannot read "${nameOf(url)}" from "${from}": ${state}`, { cause });
  try {
    const response = await follow(url, {
      headers: { "accept-encoding": "identity", ...(offset > 0 && { range: `bytes=${offset}-` }) },
      signal: AbortSignal.any([signal, silent.signal]),
      decompress: false,
    });
    if (typeof response === "string") throw failed(response);
    if (response.status === 404) throw absent(from, nameOf(url));
    if (!response.ok || response.body === null) {
      // A range that begins where the file ends: what is there is whole, or another file's.
      if (response.status === 416) return { stream: new Blob([]).stream(), offset };
      throw failed(`the server answers ${response.status}`);
    }
    return { stream: response.body, offset: response.status === 206 ? offset : 0 };
  } catch (error) {
    if (error instanceof SysError) throw error;
    if (!silent.signal.aborted) throw failed("the connection failed", error);
    throw new SysError("ETIMEDOUT", `cannot read from "${from}": the server is silent`, {
      hint: "try again later; what was downloaded is kept",
    });
  } finally {
    timer.cancel();
  }
}

/** All of a small file. EFBIG. */
async function wholeOf(stream: ReadableStream<Uint8Array>, url: URL): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stream) {
    size += part.length;
    if (size > manifestBytesMax) {
      throw new SysError("EFBIG", `cannot read "${nameOf(url)}": it is too large to be a manifest`);
    }
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}
