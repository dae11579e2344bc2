/**
 * The version of this program: `package.json`'s, carried into the binary by the bundler, so that
 * it is written down in one place; a build may bring another (`FAZT_VERSION`), as tests do.
 */
import manifest from "../package.json" with { type: "json" };

declare const FAZT_VERSION: string | undefined;

export const version: string = typeof FAZT_VERSION === "string" ? FAZT_VERSION : manifest.version;
