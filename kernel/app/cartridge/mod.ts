/**
 * Cartridges: one app in one SQLite file, and back. `item.ts` is the format, `file.ts` reads and
 * writes it in the process of `child.ts`, `run.ts` is the kernel's side of that process, `export.ts`
 * and `import.ts` what an app is made into and of (docs/decisions/0007).
 */
export { exportFrames, frameBytes } from "./export.ts";
export { type Imported, type ImportOptions, importCartridge } from "./import.ts";
export { createCartridgeProgram } from "./run.ts";
