/**
 * The version of this program: `package.json`'s, carried into the binary by the bundler, so that
 * it is written down in one place.
 */
import manifest from "../package.json" with { type: "json" };

export const version: string = manifest.version;
