/**
 * The OS's own pages and their files, as they are sent: text with its type and entity tag.
 *
 * Rules: a file refers to another by its plain name (`/os/x.css`, `./x.js`), and here every such
 * reference gets the hash of what it leads to (`?v=…`), so that browsers may keep files for ever
 * and never see half an upgrade. Leaves first: a hash covers the hashes below it.
 */
import { assert, present } from "../kernel/assert.ts";
import { pageText } from "./os-text.ts" with { type: "macro" };

export interface PageFile {
  readonly text: string;
  readonly type: string;
  /** First half of the SHA-256, base64url: what `?v=` and the ETag say. */
  readonly hash: string;
}

export interface Pages {
  /** By path, such as `/os/shell.js`. */
  readonly files: ReadonlyMap<string, PageFile>;
  readonly shell: string;
  /** The wizard, for the domain that was suggested (or null). */
  setup(domain: string | null): string;
}

/** Every file, those it refers to before it. */
const sources: readonly (readonly [name: string, text: string])[] = [
  ["icon.svg", pageText("icon.svg")],
  ["contour.svg", pageText("contour.svg")],
  ["os.css", pageText("os.css")],
  ["setup.css", pageText("setup.css")],
  ["shell.css", pageText("shell.css")],
  ["call.js", pageText("call.js")],
  ["code.js", pageText("code.js")],
  ["dom.js", pageText("dom.js")],
  ["human.js", pageText("human.js")],
  ["place.js", pageText("place.js")],
  ["refusal.js", pageText("refusal.js")],
  ["strength.js", pageText("strength.js")],
  ["done.js", pageText("done.js")],
  ["log.js", pageText("log.js")],
  ["detail.js", pageText("detail.js")],
  ["row.js", pageText("row.js")],
  ["cert.js", pageText("cert.js")],
  ["certlist.js", pageText("certlist.js")],
  ["dashboard.js", pageText("dashboard.js")],
  ["notice.js", pageText("notice.js")],
  ["upgrade.js", pageText("upgrade.js")],
  ["setup.js", pageText("setup.js")],
  ["restore.js", pageText("restore.js")],
  ["shell.js", pageText("shell.js")],
];

const types: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** Gives every reference to one of our files the hash of that file. */
function versioned(text: string, files: ReadonlyMap<string, PageFile>): string {
  return text.replace(/"(\/os\/|\.\/)([a-z]+\.(?:css|js|svg))"/g, (_, prefix, name) => {
    const file = present(files.get(`/os/${name}`), `the page file ${name}, listed before its use`);
    return `"${prefix}${name}?v=${file.hash}"`;
  });
}

/** All pages and files. */
export function assemblePages(): Pages {
  const files = new Map<string, PageFile>();
  for (const [name, source] of sources) {
    const text = versioned(source, files);
    const digest = new Bun.CryptoHasher("sha256").update(text).digest("base64url");
    const type = present(types[name.slice(name.lastIndexOf(".") + 1)], "the type of a page file");
    files.set(`/os/${name}`, { text, type, hash: digest.slice(0, 22) });
  }
  const setup = versioned(pageText("setup.html"), files);
  assert(setup.includes("{{domain}}"), "the wizard has a place for the domain");
  return {
    files,
    shell: versioned(pageText("shell.html"), files),
    setup: (domain) => setup.replace("{{domain}}", () => Bun.escapeHTML(domain ?? "")),
  };
}
