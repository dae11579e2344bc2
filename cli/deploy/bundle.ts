/**
 * The server code as one file: everything it imports is in it, but for `fazt` (given by the
 * kernel) and what the runtime has built in. Names stay readable and the source map is inside, so
 * that a stack in the log speaks of the app's own files and lines.
 *
 * Equal sources give equal bytes: the bundler writes paths relative to wherever the command was
 * started, so they are rewritten to be relative to the app. That also keeps this machine's folders
 * to itself.
 */
import { join, relative, resolve } from "node:path";
import { SysError } from "../../kernel/errno.ts";

/** The bundle's name in a release. */
export const bundleName = "server.js";

/** Bundles the entry (relative to `dir`). ENOEXEC with file, line and column of the first error. */
export async function bundleServer(dir: string, entry: string): Promise<Uint8Array<ArrayBuffer>> {
  const built = await Bun.build({
    entrypoints: [join(dir, entry)],
    root: dir,
    target: "bun",
    format: "esm",
    external: ["fazt"],
    minify: false,
    sourcemap: "external",
    define: { "process.env.NODE_ENV": '"production"' },
    throw: false,
  });
  if (!built.success) {
    const first = built.logs.find((log) => log.level === "error") ?? built.logs[0];
    const at = first?.position;
    const where = at ? `${relative(dir, at.file)}:${at.line}:${at.column}: ` : "";
    throw new SysError(
      "ENOEXEC",
      `cannot bundle "${entry}": ${where}${first?.message ?? "failed"}`,
      {
        hint: first?.message.includes("resolve")
          ? "correct the path, or run npm install there first"
          : "correct it there",
      },
    );
  }
  const code = built.outputs.filter(({ kind }) => kind !== "sourcemap");
  const map = built.outputs.find(({ kind }) => kind === "sourcemap");
  if (code[0] === undefined || map === undefined || code.length > 1) {
    throw new SysError("ENOEXEC", `cannot bundle "${entry}": it makes more than one file`, {
      hint: 'read assets with kernel.fs.read("/app/private/…") and do not import them',
    });
  }
  return withOwnPaths(dir, await code[0].text(), (await map.json()) as SourceMap);
}

interface SourceMap {
  readonly sources: readonly string[];
  readonly debugId?: string;
}

/** The bundle with its map inside, and every path in both relative to the app. */
function withOwnPaths(dir: string, code: string, map: SourceMap): Uint8Array<ArrayBuffer> {
  const own = new Map(map.sources.map((source) => [source, relative(dir, resolve(source))]));
  const { debugId: _, ...rest } = map;
  const sources = map.sources.map((source) => own.get(source) ?? source);
  const lines = code
    .replace(/\n*\/\/# debugId=.*\s*$/, "\n")
    .split("\n")
    .map((line) => {
      const path = line.startsWith("// ") ? own.get(line.slice(3)) : undefined;
      return path === undefined ? line : `// ${path}`;
    });
  const inlined = Buffer.from(JSON.stringify({ ...rest, sources })).toString("base64");
  const link = `//# sourceMappingURL=data:application/json;base64,${inlined}\n`;
  return new TextEncoder().encode(lines.join("\n") + link);
}
