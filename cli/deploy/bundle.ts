/**
 * The server code as one file: everything it imports is in it, but for `fazt` (given by the
 * kernel) and what the runtime has built in. Names stay readable and the source map is inside, so
 * that a stack in the log speaks of the app's own files and lines. Equal sources give equal bytes.
 */
import { join, relative } from "node:path";
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
    sourcemap: "inline",
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
  const [bundle, extra] = built.outputs;
  if (bundle === undefined || extra !== undefined) {
    throw new SysError("ENOEXEC", `cannot bundle "${entry}": it makes more than one file`, {
      hint: 'read assets with kernel.fs.read("/app/private/…") and do not import them',
    });
  }
  return new Uint8Array(await bundle.arrayBuffer());
}
