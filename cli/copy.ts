/**
 * `fazt fs cp`: between this computer and the tree (`vfs:` marks the tree's side), as streams, or
 * within the tree, which is the call fs.cp.
 *
 * Rules: names come from a machine that may not be ours, so a copy never leaves the folder it was
 * told to write; files are there whole or not at all; links of this computer are followed to files
 * and left out when they lead to folders.
 */
import { lstatSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { basename, join, posix } from "node:path";
import { SysError } from "../kernel/errno.ts";
import type { Client } from "./client.ts";
import type { LocalCommand } from "./command.ts";
import { answer, type Context, clientOf } from "./context.ts";
import { uploadBody, writeWhole } from "./file.ts";
import { parameter } from "./parameter.ts";
import { fileError } from "./secret.ts";
import { bytesText } from "./unit.ts";
import { UsageError } from "./usage.ts";

const mark = "vfs:";

interface Entry {
  readonly path: string;
  readonly kind: "file" | "dir";
  readonly sizeBytes: number;
}

interface Copied {
  files: number;
  sizeBytes: number;
}

/** One copy under way. */
interface Copy {
  readonly context: Context;
  readonly client: Client;
  readonly done: Copied;
}

async function statTree({ client, context }: Copy, path: string): Promise<Entry | null> {
  try {
    const { signal } = context;
    return (await client.json("fs.stat", { path }, { signal })) as Entry;
  } catch (error) {
    if (error instanceof SysError && error.code === "ENOENT") return null;
    throw error;
  }
}

/** Where a copy of `name` goes: into a folder that is there, else under the name that was given. */
function into(target: string, isDirectory: boolean, name: string): string {
  return isDirectory || target.endsWith("/") ? posix.join(target, name) : target;
}

async function putFile(copy: Copy, from: string, to: string): Promise<void> {
  const { client, context, done } = copy;
  const body = await uploadBody(from);
  await client.json("fs.write", { path: to }, { body, signal: context.signal });
  done.files++;
  done.sizeBytes += body.size;
}

async function put(copy: Copy, from: string, to: string): Promise<void> {
  let found: ReturnType<typeof statSync>;
  try {
    found = statSync(from);
  } catch (error) {
    throw fileError("read", from, error);
  }
  if (!found?.isDirectory()) return await putFile(copy, from, to);
  const { client, context } = copy;
  const { signal } = context;
  await client.json("fs.mkdir", { path: to, parents: true }, { signal });
  for (const name of readdirSync(from).sort()) {
    const path = join(from, name);
    if (
      lstatSync(path).isSymbolicLink() &&
      statSync(path, { throwIfNoEntry: false })?.isFile() !== true
    ) {
      context.terminal.complain(`left out: ${path} (a link to no file)\n`);
      continue;
    }
    await put(copy, path, posix.join(to, name));
  }
}

/** A path below `base` as this computer's, or EBADMSG when it would leave `to`. */
function below(base: string, path: string, to: string): string {
  const prefix = base.endsWith("/") ? base : `${base}/`;
  const inner = path.slice(prefix.length);
  const safe = inner.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  if (path.startsWith(prefix) && safe && !inner.includes("\0")) return join(to, inner);
  throw new SysError("EBADMSG", `cannot copy "${path}": not below "${base}"`);
}

async function getFile({ client, context, done }: Copy, from: string, to: string): Promise<void> {
  const { signal } = context;
  const chunks = client.bytes("fs.read", { path: from }, { signal });
  done.sizeBytes += await writeWhole(to, chunks);
  done.files++;
}

async function get(copy: Copy, entry: Entry, to: string): Promise<void> {
  if (entry.kind === "file") return await getFile(copy, entry.path, to);
  const { client, context } = copy;
  const { signal } = context;
  makeDirectory(to);
  for await (const line of client.lines("fs.find", { path: entry.path }, { signal })) {
    const found = line as Entry;
    if (found.path === entry.path) continue;
    const path = below(entry.path, found.path, to);
    if (found.kind === "dir") makeDirectory(path);
    else await getFile(copy, found.path, path);
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw fileError("make", path, error);
  }
}

async function upload(copy: Copy, from: string, to: string): Promise<void> {
  const there = await statTree(copy, to);
  await put(copy, from, into(to, there?.kind === "dir", basename(from)));
}

async function download(copy: Copy, from: string, to: string): Promise<void> {
  const entry = await statTree(copy, from);
  if (entry === null) throw new SysError("ENOENT", `no such file or directory: ${from}`);
  const there = statSync(to, { throwIfNoEntry: false })?.isDirectory() === true;
  await get(copy, entry, into(to, there, basename(from)));
}

/** The tree's path of a marked side, or null. */
function treeSide(side: string): string | null {
  return side.startsWith(mark) ? posix.join("/", side.slice(mark.length)) : null;
}

async function runCopy(context: Context, at: Parameters<LocalCommand["run"]>[1]): Promise<number> {
  const [from, to] = [String(at.input["from"]), String(at.input["to"])];
  const [treeFrom, treeTo] = [treeSide(from), treeSide(to)];
  const client = clientOf(context, at.globals);
  const copy: Copy = { context, client, done: { files: 0, sizeBytes: 0 } };
  if ((treeFrom === null) === (treeTo === null)) {
    const within = { from: treeFrom ?? from, to: treeTo ?? to };
    if (!within.from.startsWith("/") || !within.to.startsWith("/")) {
      throw new UsageError(
        `which side is in the tree: "${from}" or "${to}"?`,
        `mark it: fazt fs cp ${from} ${mark}${to.startsWith("/") ? to : `/home/${basename(to)}`}`,
      );
    }
    const json = await client.json("fs.cp", within, { signal: context.signal });
    await answer(context, at.globals, { json, text: `copied ${within.from} to ${within.to}` });
    return 0;
  }
  if (treeTo !== null) await upload(copy, from, treeTo);
  else await download(copy, treeFrom ?? "", to);
  const { files, sizeBytes } = copy.done;
  const text = `copied ${files} ${files === 1 ? "file" : "files"}, ${bytesText(sizeBytes)}`;
  await answer(context, at.globals, { json: { from, to, files, sizeBytes }, text });
  return 0;
}

export const copyCommand: LocalCommand = {
  words: ["fs", "cp"],
  summary: "Copy files within the tree, or between it and this computer",
  manual:
    "A path that begins with vfs: is in the tree of the machine, the other one on this computer; " +
    "without vfs: on either side both are in the tree. A folder is copied with everything in it; " +
    "a folder that is there already gets the copy inside.",
  parameters: [
    parameter("from", "what is copied", { required: true, positional: true }),
    parameter("to", "where the copy goes", { required: true, positional: true }),
  ],
  examples: [
    { say: "Send a photo", line: "fs cp ./cat.jpg vfs:/home/photos/" },
    { say: "Get a folder back", line: "fs cp vfs:/home/photos ./photos" },
    { say: "Within the tree", line: "fs cp /apps/blog /home/blog" },
  ],
  run: runCopy,
};
