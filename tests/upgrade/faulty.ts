/**
 * The program with a fault: what a release can be that passes every check of its file. Which fault
 * it has stands in the file that FAZT_TEST_FAULT names; built by `machine.ts`, never shipped.
 *
 * It takes the runtime's server and puts its own handler around the kernel's, then runs the program.
 */
import { existsSync, readFileSync } from "node:fs";

const path = process.env["FAZT_TEST_FAULT"] ?? "";
const fault = existsSync(path) ? readFileSync(path, "utf8").trim() : "";
const [word = ""] = process.argv.slice(2);
const leads = word === "upgrade-child";

const keptForEver: Uint8Array[] = [];
/** Milliseconds after which a program that dies does; a second more than the shortest trial. */
const diesAfterMs = 6_500;
/** Milliseconds after which one that hangs does, inside its trial. */
const hangsAfterMs = 1_500;
/** Blocks of 40 MB that one that leaks keeps at most: more than any gate lets pass. */
const pagesMax = 20;

type Serve = (options: { fetch?: unknown; port?: number }) => unknown;

/** A handler of a kernel with the fault. */
function around(handle: (request: Request, server: unknown) => unknown) {
  return async (request: Request, server: unknown): Promise<unknown> => {
    const host = request.headers.get("host") ?? "";
    if (fault === "errors") return new Response("no", { status: 500 });
    if (fault === "one app" && host.startsWith("blog.")) return new Response("", { status: 502 });
    if (fault === "slow") await Bun.sleep(700);
    return await handle(request, server);
  };
}

// tidy: allow banned-call: this is a program, which ends as it is told to
const die = (code: number) => process.exit(code);
if (word === "upgrade-check" && fault === "exits at once") die(3);
if (word === "upgrade-check" && fault === "no database") {
  console.error('cannot open "data.db": the device said no');
  die(1);
}
if (leads && fault === "hangs") for (;;) Bun.sleepSync(1000);
/** Begins when it listens, which is when it answers, however busy the machine is. */
function ail(): void {
  if (fault === "hangs later") setTimeout(() => Bun.sleepSync(600_000), hangsAfterMs);
  if (fault === "dies later") setTimeout(() => die(9), diesAfterMs);
  if (fault !== "leaks") return;
  setInterval(() => {
    if (keptForEver.length >= pagesMax) return;
    const pages = new Uint8Array(40_000_000);
    for (let at = 0; at < pages.length; at += 4096) pages[at] = 1;
    keptForEver.push(pages);
  }, 150);
}
if (leads) {
  const serve = Bun.serve as unknown as Serve;
  const broken: Serve = (options) => {
    const { fetch } = options;
    const isListener = options.port !== undefined && typeof fetch === "function";
    if (isListener && fault === "no listener") throw new Error("the device said no");
    if (isListener) ail();
    const own = isListener ? { fetch: around(fetch as Parameters<typeof around>[0]) } : {};
    return serve({ ...options, ...own });
  };
  Object.defineProperty(Bun, "serve", { value: broken });
}

await import("../../init/main.ts");
