/**
 * A release that its owner sends, where the machine cannot fetch it: first the manifest with its
 * signature, then the files it names, each once.
 *
 *     <data>/slots/upload/{release.json,release.json.minisig,fazt-1.2.3-x64.zst}
 *
 * Rules: nothing is taken before the signature was verified, no file the manifest does not name, no
 * byte more than it says; a file has its name when its hash was found right. What was sent stays
 * until it was tried, another release is offered, or nothing more has come for a day, so that who
 * was cut off goes on and nobody's disk keeps what was forgotten.
 */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import {
  type Artifact,
  hashOf,
  type Manifest,
  type PublicKey,
  readManifest,
  refuseFull,
  sentDir,
  sentManifest,
  verifySignature,
} from "../upgrade/mod.ts";
import { sentMsMax } from "./limits.ts";
import type { Part, Tried } from "./way.ts";

/** A file that is to be sent. */
export interface Wanted {
  readonly name: string;
  readonly sizeBytes: number;
  /** Whether it is here, whole. */
  readonly here: boolean;
}

/** The files of a release that this machine would use. Pure. */
export function wantedOf({ artifacts }: Manifest, part: Part): Artifact[] {
  const kinds = part === "system" ? ["root", "kernel", "initrd"] : ["binary"];
  return artifacts.filter(({ kind }) => kinds.includes(kind));
}

/** When something of a release came last, and which it is. */
interface Sent {
  /** Null: its manifest cannot be read. */
  readonly version: string | null;
  /** Unix ms. */
  readonly at: number;
}

/** Whether what was sent is of no more use: it was tried since, whatever came of it, or forgotten. Pure. */
function isSpent(
  { version, at }: Sent,
  tried: readonly Pick<Tried, "to" | "outcome" | "endedAt">[],
  now: number,
): boolean {
  if (tried.some(({ outcome }) => outcome === "under way")) return false;
  const ended = tried.some(({ to, endedAt }) => to === version && (endedAt ?? 0) >= at);
  return ended || now - at > sentMsMax;
}

export interface Uploads {
  /** A manifest as it is signed. EBADMSG, EKEYREJECTED. */
  read(text: string, signature: string): Manifest;
  /** Takes a verified manifest; what was sent of another release is gone. */
  offer(text: string, signature: string): void;
  /** Whether a file of it is here. */
  has(name: string): boolean;
  /** Takes a file that the offered manifest names. ENOENT, EBUSY, ENOSPC, EFBIG, EBADMSG. */
  put(name: string, body: ReadableStream<Uint8Array>): Promise<void>;
  /** Removes what was sent when it is of no more use. */
  sweep(tried: readonly Tried[]): void;
}

interface UploadOptions {
  readonly machine: Pick<Machine, "now">;
  readonly dataDir: string;
  readonly keys: () => readonly PublicKey[];
}

export function createUploads({ machine, dataDir, keys }: UploadOptions): Uploads {
  const dir = sentDir(dataDir);
  const manifestPath = sentManifest(dataDir);
  let busy = false;
  /** The manifest's time is when something came last, by the machine's clock. */
  const touch = (): void => {
    const seconds = machine.now() / 1000;
    utimesSync(manifestPath, seconds, seconds);
  };
  const offered = (): Manifest => {
    if (existsSync(manifestPath)) return readManifest(readFileSync(manifestPath));
    throw new SysError("ENOENT", "cannot take a file of a release: none was offered", {
      hint: "offer its manifest first: fazt proc upgrade --file DIR does all of it",
    });
  };
  return {
    read(text, signature) {
      const bytes = new TextEncoder().encode(text);
      verifySignature(bytes, signature, keys());
      return readManifest(bytes);
    },
    offer(text, signature) {
      const same = existsSync(manifestPath) && readFileSync(manifestPath, "utf8") === text;
      if (!same && busy) {
        throw new SysError("EBUSY", "cannot take another release: a file of one is being sent", {
          hint: "wait until it is here, or end who sends it",
          retryAfterMs: 5_000,
        });
      }
      if (!same) rmSync(dir, { recursive: true, force: true });
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeFileSync(`${manifestPath}.minisig`, signature, { mode: 0o600 });
      writeFileSync(manifestPath, text, { mode: 0o600 });
      touch();
    },
    has: (name) => existsSync(join(dir, name)),
    async put(name, body) {
      const artifact = offered().artifacts.find((one) => one.name === name);
      if (artifact === undefined) {
        throw new SysError("ENOENT", `cannot take "${name}": it is not of the offered release`);
      }
      if (busy) throw new SysError("EBUSY", `cannot take "${name}": another file is being sent`);
      busy = true;
      try {
        await receive(dir, artifact, body);
        touch();
      } finally {
        busy = false;
      }
    },
    sweep(tried) {
      if (busy || !existsSync(dir)) return;
      if (isSpent(sentIn(dir, manifestPath), tried, machine.now())) {
        rmSync(dir, { recursive: true, force: true });
      }
    },
  };
}

function sentIn(dir: string, manifestPath: string): Sent {
  try {
    const { version } = readManifest(readFileSync(manifestPath));
    return { version, at: Math.round(statSync(manifestPath).mtimeMs) };
  } catch {
    // Cut off while it was offered, or damaged: what there is goes with its day.
    return { version: null, at: Math.round(statSync(dir).mtimeMs) };
  }
}

async function receive(
  dir: string,
  artifact: Artifact,
  body: ReadableStream<Uint8Array>,
): Promise<void> {
  const { name, sizeBytes, sha256 } = artifact;
  await refuseFull(dir, { ...artifact, packed: null });
  const draft = join(dir, `${name}.new`);
  const file = await open(draft, "w", 0o600);
  const wrong = (code: "EFBIG" | "EBADMSG", state: string) =>
    new SysError(code, `cannot take "${name}": ${state}`, {
      hint: "send the file that was published; nothing of it was used",
    });
  try {
    let size = 0;
    for await (const bytes of body) {
      size += bytes.length;
      if (size > sizeBytes) throw wrong("EFBIG", "it is longer than what was signed");
      await file.write(bytes);
    }
    await file.sync();
    if (statSync(draft).size !== sizeBytes) {
      throw wrong("EBADMSG", `it has ${size} bytes, and not ${sizeBytes}`);
    }
    if ((await hashOf(draft)) !== sha256) {
      throw wrong("EBADMSG", "its hash is not the one that was signed");
    }
    renameSync(draft, join(dir, name));
  } finally {
    await file.close();
    rmSync(draft, { force: true });
  }
}
