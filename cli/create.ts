/**
 * `fazt app create`: a folder that deploys as it is. It is written into a new or an empty folder
 * and nowhere else; nothing that exists is overwritten.
 */
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { SysError } from "../kernel/errno.ts";
import { nameOfFolder } from "./deploy/appfile.ts";
import { templates } from "./template.ts";

export interface CreateOptions {
  readonly dir: string;
  /** `static` when absent. */
  readonly template?: string | undefined;
  /** Text of `fazt.d.ts`: the module "fazt", as the kernel's table gives it. */
  readonly types: string;
}

/** What `fazt app create` prints. */
export interface CreateResult {
  readonly dir: string;
  readonly name: string;
  readonly template: string;
  readonly files: string[];
  /** What to do next, as commands. */
  readonly next: string[];
}

/** Writes a new app. EINVAL (template, name), ENOTEMPTY, ENOTDIR, EACCES. */
export function createApp({ dir: given, template = "static", types }: CreateOptions): CreateResult {
  if (!isTemplate(template)) {
    throw new SysError("EINVAL", `cannot create "${given}": no such template: ${template}`, {
      hint: `choose ${Object.keys(templates).join(", ")}`,
    });
  }
  const dir = resolve(given);
  const name = nameOfFolder(dir, "create");
  wantEmpty(dir, given);
  const files: Record<string, string> = { ...templates[template] };
  if (files["server.ts"] !== undefined) files["fazt.d.ts"] = types;
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), text.replaceAll("{{name}}", name), { flag: "wx" });
    }
  } catch (cause) {
    throw new SysError("EACCES", `cannot create "${given}": the folder cannot be written`, {
      hint: "choose a folder of your own",
      cause,
    });
  }
  const install = template === "fullstack" ? [`npm install --prefix ${given}`] : [];
  const next = [...install, `fazt app deploy ${given}`];
  return { dir, name, template, files: Object.keys(files).sort(), next };
}

function isTemplate(name: string): name is keyof typeof templates {
  return Object.hasOwn(templates, name);
}

function wantEmpty(dir: string, given: string): void {
  const stat = statSync(dir, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isDirectory()) {
    throw new SysError("ENOTDIR", `cannot create "${given}": a file is there`, {
      hint: "choose another name",
    });
  }
  if (readdirSync(dir).length === 0) return;
  throw new SysError("ENOTEMPTY", `cannot create "${given}": the folder is not empty`, {
    hint: "choose a new folder; nothing is ever overwritten",
  });
}
