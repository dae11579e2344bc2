/**
 * `fazt app deploy`: an app's folder becomes a release. Build, bundle, read and hash, upload what
 * the kernel lacks, then one call that proves and switches. Up to that call nothing of the app has
 * changed, so a deploy may be cut anywhere.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../../kernel/errno.ts";
import { type AppFolder, readAppFolder, readSettings } from "./appfile.ts";
import { buildApp } from "./build.ts";
import { bundleName, bundleServer } from "./bundle.ts";
import { type Content, fileContent, madeContent } from "./content.ts";
import { type Ignore, ignoreRules } from "./ignore.ts";
import { walkApp } from "./tree.ts";
import { type Client, missingContents, sendContents } from "./upload.ts";

export interface DeployOptions {
  /** The app's folder. */
  readonly dir: string;
  readonly name?: string | undefined;
  readonly message?: string | undefined;
  /** False: nothing is built or bundled; the server is sent as it is. */
  readonly build: boolean;
}

/** What `fazt app deploy` prints (contract). */
export interface DeployResult {
  readonly app: string;
  readonly id: string;
  readonly release: string;
  readonly url: string;
  readonly files: number;
  readonly uploadedBytes: number;
  readonly ms: number;
}

/** Where a deploy is; `line` is output of the app's own build. */
export type Progress =
  | { readonly step: "build" | "bundle" | "read" | "switch" }
  | { readonly step: "output"; readonly line: string }
  | { readonly step: "upload"; readonly sentBytes: number; readonly totalBytes: number };

export type Report = (progress: Progress) => void;

/**
 * Deploys a folder. EINVAL, ENOENT, ENOTDIR, EFBIG, ENOEXEC of this side, and whatever the calls
 * `fs.blob.*` and `app.deploy` throw.
 */
export async function deploy(
  client: Client,
  options: DeployOptions,
  report: Report = () => undefined,
): Promise<DeployResult> {
  const startedMs = performance.now();
  const app = readAppFolder(options.dir, options.name);
  if (options.build) {
    report({ step: "build" });
    await buildApp(app.dir, app.server !== null, (line) => report({ step: "output", line }));
  }
  const contents = await readContents(app, options.build, report);
  const lacking = await missingContents(client, contents);
  const totalBytes = lacking.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  report({ step: "upload", sentBytes: 0, totalBytes });
  const uploadedBytes = await sendContents(client, lacking, (sentBytes) =>
    report({ step: "upload", sentBytes, totalBytes }),
  );
  report({ step: "switch" });
  const server = app.server === null || !options.build ? app.server : bundleName;
  const reply = (await client.call("app.deploy", {
    name: app.name,
    manifest: { ...app.manifest, server },
    files: contents.map(({ path, hash, sizeBytes, mode }) => ({ path, hash, sizeBytes, mode })),
    message: options.message ?? "",
  })) as Omit<DeployResult, "uploadedBytes" | "ms">;
  const { app: name, id, release, url, files } = reply;
  const ms = Math.round(performance.now() - startedMs);
  return { app: name, id, release, url, files, uploadedBytes, ms };
}

/** Every file of the release, hashed. */
async function readContents(app: AppFolder, build: boolean, report: Report): Promise<Content[]> {
  const made: Content[] = [];
  if (app.server !== null && build) {
    report({ step: "bundle" });
    made.push(madeContent(bundleName, await bundleServer(app.dir, app.server)));
  }
  if (app.server !== null && !build && !/\.m?js$/.test(app.server)) {
    throw new SysError("EINVAL", `cannot deploy "${app.server}" as it is: not JavaScript`, {
      hint: "leave --no-build away, or name the built file in app.json",
    });
  }
  report({ step: "read" });
  const ignore = ignoreRules(readSettings(app.dir, ".faztignore") ?? "");
  const contents = [...made];
  for (const file of walkApp(app.dir, topsOf(app, build, ignore), ignore)) {
    if (!made.some(({ path }) => path === file.path)) contents.push(await fileContent(file));
  }
  return contents;
}

/**
 * What of the folder is deployed: of an app its known places, of a plain site everything. Sources
 * that are bundled never leave this machine, but for the map inside the bundle.
 */
function topsOf(app: AppFolder, build: boolean, ignore: Ignore): string[] {
  const { dir, manifest, server } = app;
  const has = (path: string) => existsSync(join(dir, path));
  if (server === null && !has(manifest.public)) {
    if (has("index.html")) return [""];
    throw new SysError("EINVAL", `cannot deploy "${dir}": nothing to serve`, {
      hint: `add ${manifest.public}/index.html, index.html or server.ts`,
    });
  }
  const places = [manifest.public, "private", "migrations", "app.json"];
  if (server !== null && !build) places.push(server);
  return places.filter((place) => has(place) && !ignore(place, !place.includes(".")));
}
