/**
 * The text of a page's file, carried into the program. Used as a macro: it runs when the program is
 * transpiled or built, never when it runs, so that a page is one file in a checkout and a constant
 * in the binary. (An import with `type: "text"` would make the type checker read a page's script
 * as a module of the kernel.)
 */
import { readFileSync } from "node:fs";

/** The text of `image/os/NAME`. */
export function pageText(name: string): string {
  return readFileSync(new URL(`../image/os/${name}`, import.meta.url), "utf8");
}
