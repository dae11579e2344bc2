/**
 * A release of this computer on its way to a machine: its manifest is offered, then each file that
 * is wanted goes, one after the other; what is there already is not sent again.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { SysError } from "../kernel/errno.ts";
import { type Context, clientOf } from "./context.ts";
import type { Globals } from "./parse.ts";
import { bytesText } from "./unit.ts";

interface Sending {
  /** A directory of releases, or a manifest in one. */
  readonly path: string;
  readonly consent: { readonly downgrade: boolean; readonly retry: boolean };
}

interface Offered {
  readonly version: string;
  readonly files: readonly {
    readonly name: string;
    readonly sizeBytes: number;
    readonly here: boolean;
  }[];
}

/** A file that must be there. ENOENT. */
function present(path: string): string {
  if (existsSync(path) && statSync(path).isFile()) return path;
  throw new SysError("ENOENT", `cannot send "${path}": no such file`, {
    hint: "name a directory of releases; it has a file such as stable-x64.json",
  });
}

/** Sends what is wanted of a release; then it can be installed from `upload`. */
export async function sendRelease(
  context: Context,
  globals: Globals,
  { path, consent }: Sending,
): Promise<void> {
  const { terminal, signal } = context;
  const client = clientOf(context, globals);
  const given = resolve(path);
  const about = (await client.json("proc.channel.show", {}, { signal })) as {
    readonly channel: string;
    readonly arch: string;
  };
  const named = join(given, `${about.channel}-${about.arch}.json`);
  const at = present(given.endsWith(".json") ? given : named);
  const manifest = readFileSync(at, "utf8");
  const signature = readFileSync(present(`${at}.minisig`), "utf8");
  const offer = { manifest, signature, ...consent };
  const { version, files } = (await client.json("proc.upgrade.offer", offer, {
    signal,
  })) as Offered;
  for (const { name, sizeBytes, here } of files) {
    if (here) continue;
    if (terminal.isTty && !globals.json) {
      terminal.complain(`sending ${name} of ${version}, ${bytesText(sizeBytes)}\n`);
    }
    const body = Bun.file(present(join(dirname(at), name)));
    await client.json("proc.upgrade.put", { name }, { body, signal });
  }
}
