/**
 * The rendered call table as it is carried inside the program (`npm run table` writes it). The
 * command reads calls from here and never from the kernel's code.
 */
import type { CallDescription } from "../kernel/syscall/mod.ts";
import rendered from "../kernel/syscall/table.json" with { type: "json" };

export const table = rendered as unknown as readonly CallDescription[];
