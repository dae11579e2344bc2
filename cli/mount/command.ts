/**
 * `fazt fs mount`: what is on the host into the tree (the call fs.mount), or with `--host DIR` the
 * tree onto a directory of this computer, until Ctrl-C.
 *
 * Rules: `--host` is a directory when it begins with "/" or "." (contract), and names a machine in
 * every other command; the machine is then that of `--data` or FAZT_HOST. Nothing is mounted before
 * the machine has answered once.
 */
import { resolve } from "node:path";
import { runCall } from "../call.ts";
import { callCommand, type LocalCommand } from "../command.ts";
import { answer, type Context, clientOf } from "../context.ts";
import { parameter } from "../parameter.ts";
import type { Arguments } from "../parse.ts";
import { UsageError } from "../usage.ts";
import type { Mounted } from "./device.ts";

/** What a source begins with that means the same from everywhere: the tree, a store, a whole path. */
const marks = ["vfs:", "s3://", "/"];

const usage = "fazt fs mount SOURCE PATH, or fazt fs mount --host DIR";

/** Ends with Ctrl-C, SIGTERM, a closed terminal, or the shell's interruption. */
function untilTold({ signal }: Context, mounted: Mounted): () => void {
  const end = (): void => mounted.detach();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of signals) process.on(name, end);
  signal.addEventListener("abort", end);
  return () => {
    for (const name of signals) process.off(name, end);
    signal.removeEventListener("abort", end);
  };
}

/** Exports the tree until it is told to stop. */
async function exportTree(context: Context, args: Arguments, directory: string): Promise<number> {
  const [{ mountOn }, { ExportedTree, machineOf }] = await Promise.all([
    import("./device.ts"),
    import("./tree.ts"),
  ]);
  const client = clientOf(context, { ...args.globals, host: null });
  await client.json("fs.ls", { path: "/", limit: 1 }, { signal: context.signal });
  const ended = new AbortController();
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const tree = new ExportedTree(machineOf(client, ended.signal), owner);
  const mounted = mountOn(directory);
  const forget = untilTold(context, mounted);
  try {
    const serving = mounted.serve((request) => tree.answer(request));
    const { target } = client;
    const of = target.kind === "remote" ? target.url : target.dataDir;
    const text = `the tree of ${of} is at ${directory}, read-only; Ctrl-C detaches it`;
    await answer(context, args.globals, { json: { mounted: directory, of }, text });
    await serving;
    return 0;
  } finally {
    mounted.detach();
    forget();
    ended.abort();
  }
}

/** The source as the machine's host knows it: of this computer, when that is the host. */
function sourceFor(context: Context, args: Arguments, source: string): string {
  if (marks.some((mark) => source.startsWith(mark))) return source;
  const isHere = clientOf(context, args.globals).target.kind === "local";
  if (isHere) return resolve(source);
  throw new UsageError(
    `"${source}" is no path of the machine's host`,
    "give a whole path of its host, or vfs:PATH of its tree",
  );
}

async function run(context: Context, args: Arguments): Promise<number> {
  const { host } = args.globals;
  const { source, path } = args.input as { readonly source?: string; readonly path?: string };
  if (host !== null && /^[./]/.test(host)) {
    if (source === undefined && !("writable" in args.input)) {
      return await exportTree(context, args, resolve(host));
    }
    const hint = "the whole tree is mounted there, read-only: fazt fs mount --host DIR";
    throw new UsageError(`--host "${host}" is a directory, and takes nothing beside it`, hint);
  }
  if (source === undefined || path === undefined) {
    throw new UsageError("missing argument SOURCE or PATH", `usage: ${usage}`);
  }
  const input = { ...args.input, source: sourceFor(context, args, source) };
  return await runCall(context, callCommand(context.table, "fs.mount"), { ...args, input });
}

export const mountCommand: LocalCommand = {
  words: ["fs", "mount"],
  summary:
    "Attach a directory of the host or a cartridge, or with --host DIR the tree to this computer",
  manual:
    "SOURCE PATH: a directory of the machine's host, or a cartridge (a file of the host, or vfs:PATH " +
    "of the tree), or s3://BUCKET/PREFIX with the replica's key, is attached at a path below /mnt and stays over restarts, until fazt fs umount " +
    "PATH; fazt fs mounts lists them. Read-only, unless --writable. Of a directory, files and " +
    "directories are seen: links are never followed, and what else is mounted below it is not " +
    "entered. Whoever may read the tree reads it.\n\n" +
    "--host DIR: the whole tree appears at an empty directory of this computer, read-only, until " +
    "Ctrl-C: for ls, grep, rsync and all other tools. --host is a directory here when it begins " +
    'with "/" or "."; the machine is that of --data, or of FAZT_HOST. It needs Linux with FUSE and ' +
    "root (or a shell of its own: unshare -Urm); nobody else on this computer sees it.",
  parameters: [
    parameter("source", "what is attached: a path of the host, vfs:PATH, s3://BUCKET/PREFIX", {
      positional: true,
    }),
    parameter("path", "where: a path below /mnt", { positional: true }),
    parameter("writable", "let files of the directory be changed", { kind: "boolean" }),
  ],
  examples: [
    { say: "Look at the host's photos", line: "fs mount /srv/photos /mnt/photos" },
    { say: "Look into a cartridge", line: "fs mount vfs:/home/blog.cart /mnt/blog" },
    { say: "Search the tree with your own tools", line: "fs mount --host ./tree" },
  ],
  run,
};
