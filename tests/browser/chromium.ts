/**
 * A headless Chromium for tests: the system's own, a fresh profile, and a page that keeps account
 * of itself. Every request must go to the origin it is given, and the console must stay clean.
 */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const screenshots = fileURLToPath(new URL("../../dist/screenshots/", import.meta.url));

/** The browser's executable: `CHROMIUM`, else the first that the path has. */
function findChromium(): string {
  const named = process.env["CHROMIUM"];
  if (named !== undefined && named !== "") return named;
  const found = ["chromium", "chromium-browser", "google-chrome"].map((name) => Bun.which(name));
  const path = found.find((one) => one !== null);
  if (path) return path;
  throw new Error("no Chromium here: install the package chromium, or set CHROMIUM to its path");
}

/** Starts it. `await using` ends it. */
export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: findChromium(), args: flags, headless: true });
}

/** A page and what went wrong on it. */
export interface Watched extends AsyncDisposable {
  readonly page: Page;
  /** Console errors and exceptions; refusals that a test provokes are taken out by it. */
  readonly problems: string[];
  /** Every URL that was asked for. */
  readonly urls: string[];
  /** Keeps a picture of the page in `dist/screenshots/`. */
  shoot(name: string): Promise<void>;
}

/** A page in a context of its own: no cookies, no storage, no cache. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<Watched> {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const problems: string[] = [];
  const urls: string[] = [];
  page.on("console", (message) => {
    const ours = message.type() === "error" || message.type() === "warning";
    if (ours) problems.push(`${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => urls.push(request.url()));
  mkdirSync(screenshots, { recursive: true });
  return {
    page,
    problems,
    urls,
    shoot: async (name) => {
      await page.screenshot({ path: `${screenshots}${name}.png` });
    },
    [Symbol.asyncDispose]: () => context.close(),
  };
}

/** Whether the page can be scrolled sideways, and by how many pixels. */
export function overflowPx(page: Page): Promise<number> {
  return page.evaluate("document.documentElement.scrollWidth - innerWidth");
}
