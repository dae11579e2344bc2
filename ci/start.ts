/**
 * `npm start`: builds `dist/fazt` when a source has changed and runs `fazt proc start` in the
 * foreground. Everything after `--` is passed on: `npm start -- --http 127.0.0.1:9000`.
 *
 * A missing system package is told and left: the kernel itself says what it does without it.
 */
import { build } from "./build.ts";
import { ensureSystem } from "./install.ts";
import { foreground } from "./with.mjs";

ensureSystem("start");
const executable = await build();
process.exit(await foreground(executable, ["proc", "start", ...process.argv.slice(2)]));
