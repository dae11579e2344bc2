/** The version of this program: `package.json`'s, carried into the binary by the bundler. */
import manifest from "../package.json" with { type: "json" };

export const version: string = manifest.version;
