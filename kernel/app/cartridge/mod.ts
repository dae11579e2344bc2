/**
 * Cartridges: one app in one SQLite file, and back. `frame.ts` is the format, `item.ts` what
 * is believed of it, `file.ts` reads it in the process of `child-read.ts` (in the sandbox) and writes it
 * in that of `child.ts`, `run.ts` is the kernel's side of both, `export.ts`
 * and `import.ts` what an app is made into and of (docs/decisions/0007); `unpack.ts` only looks at one.
 */
export { exportFrames, frameBytes } from "./export.ts";
export { type Imported, type ImportOptions, importCartridge } from "./import.ts";
export { createCartridgeProgram } from "./run.ts";
export { unpackCartridge } from "./unpack.ts";
