/**
 * `fazt app create`, `deploy` and `export`: the shell around the code in `create.ts` and `deploy/`,
 * which is loaded only when it is wanted.
 */
import type { Client } from "./client.ts";
import type { LocalCommand } from "./command.ts";
import { answer, type Context, clientOf, lookOf } from "./context.ts";
import type { Progress } from "./deploy/deploy.ts";
import { failed } from "./failure.ts";
import { ownerOnly, writeWhole } from "./file.ts";
import { parameter } from "./parameter.ts";
import { lineText, valueText, visible } from "./render.ts";
import type { Terminal } from "./terminal.ts";
import { bytesText } from "./unit.ts";

const dir = parameter("dir", "folder of the app", { required: true, positional: true });

const create: LocalCommand = {
  words: ["app", "create"],
  summary: "Write a new app into a folder, ready to deploy",
  manual:
    "static: files alone. api: a server in TypeScript. fullstack: both, with the app's own SQL " +
    "database. The folder must be new or empty.",
  parameters: [
    dir,
    parameter("template", "what to begin with", {
      choices: ["static", "api", "fullstack"],
      default: "static",
    }),
  ],
  examples: [{ say: "A server with a page", line: "app create hello --template fullstack" }],
  run: async (context, { globals, input }) => {
    const { createApp } = await import("./create.ts");
    const { default: types } = await import("../kernel/syscall/fazt.d.ts.txt", {
      with: { type: "text" },
    });
    const template = input["template"] as string | undefined;
    const made = createApp({ dir: String(input["dir"]), template, types });
    const lines = [`wrote ${made.files.length} files to ${made.dir}`, "", "next:"];
    const text = [...lines, ...made.next.map((line) => `  ${line}`)].join("\n");
    await answer(context, globals, { json: made, text });
    return 0;
  },
};

/** A client as the deploy wants it. */
function deployClient(client: Client, signal: AbortSignal) {
  return {
    call: (name: string, input: unknown) => client.json(name, input, { signal }),
    upload: (name: string, input: unknown, body: ReadableStream<Uint8Array>) =>
      client.json(name, input, { signal, body }),
  };
}

const stepNames = { build: "building", bundle: "bundling", read: "reading", switch: "switching" };

/** Tells a person how far it is; the build's own output always, in case it fails. */
function reporter(terminal: Terminal, json: boolean): (progress: Progress) => void {
  return (progress) => {
    if (progress.step === "output") {
      terminal.complain(`  ${visible(progress.line)}\n`);
    } else if (!json && terminal.isTty) {
      if (progress.step !== "upload") terminal.complain(`${stepNames[progress.step]}\n`);
      else if (progress.sentBytes === 0 && progress.totalBytes > 0) {
        terminal.complain(`uploading ${bytesText(progress.totalBytes)}\n`);
      }
    }
  };
}

async function runDeploy(context: Context, at: Parameters<LocalCommand["run"]>[1]) {
  const { terminal, signal } = context;
  const { deploy } = await import("./deploy/deploy.ts");
  const { dir: folder, name, message, build } = at.input as Record<string, string | undefined>;
  const client = deployClient(clientOf(context, at.globals), signal);
  const result = await deploy(
    client,
    { dir: folder ?? "", name, message, build: (build as unknown) !== false },
    reporter(terminal, at.globals.json),
  );
  const text = valueText(result, null, lookOf(terminal)).join("\n");
  await answer(context, at.globals, { json: result, text });
  return 0;
}

const deployCommand: LocalCommand = {
  words: ["app", "deploy"],
  summary: "Make a release of an app's folder and switch to it",
  manual:
    "Runs the build script of package.json, bundles the server, uploads the files that the " +
    "machine does not have, and switches in one step when the new release is ready. The old one " +
    "goes on until then, and for good when it does not become ready. Files migrations/*.sql are " +
    "statements for the app's SQL volume: each is applied once, in order of name, all that are new " +
    "in one transaction, before the switch. They are tried on a copy of the volume first, with the " +
    "new release started on it; what fails there changes nothing. Never change one that was " +
    "applied: write another.",
  parameters: [
    dir,
    parameter("name", "name of the app (else app.json's, else the folder's)"),
    parameter("message", "what changed, for the list of releases"),
    parameter("build", "send the server as it is, without build and bundle", {
      kind: "boolean",
      default: true,
    }),
  ],
  examples: [
    { say: "Deploy this folder", line: "app deploy ." },
    { say: "To another machine", line: "app deploy blog --host example.com" },
  ],
  run: runDeploy,
};

const exportCommand: LocalCommand = {
  words: ["app", "export"],
  summary: "Write an app into one file, a cartridge",
  manual:
    "Its current release, files, keys, documents, SQL volume and environment; of secrets only " +
    "the names. fazt app import makes an app of it again, here or on another machine.",
  parameters: [
    parameter("app", "name or id of the app", { required: true, positional: true }),
    parameter("file", "where it is written, such as blog.cart", {
      required: true,
      positional: true,
    }),
  ],
  examples: [{ say: "Take the blog along", line: "app export blog blog.cart" }],
  run: async (context, { globals, input }) => {
    const [name, file] = [String(input["app"]), String(input["file"])];
    const client = clientOf(context, globals);
    const bytes = client.bytes("app.export", { app: name }, { signal: context.signal });
    const sizeBytes = await writeWhole(file, bytes, ownerOnly);
    const text = `wrote ${name} to ${file}, ${bytesText(sizeBytes)}`;
    await answer(context, globals, { json: { app: name, file, sizeBytes }, text });
    return 0;
  },
};

const devCommand: LocalCommand = {
  words: ["app", "dev"],
  summary: "Deploy an app's folder again whenever it changes, and show its log",
  manual:
    "Goes on until Ctrl-C. A release that does not come up is told, and the one before serves on. " +
    "What the app's own build writes is no change. The kernel is the one of this computer, or " +
    "with --host another.",
  parameters: [dir, parameter("name", "name of the app (else app.json's, else the folder's)")],
  examples: [{ say: "Work on this folder", line: "app dev ." }],
  run: async (context, { globals, input }) => {
    const { terminal, signal, table } = context;
    const { develop } = await import("./develop.ts");
    const { dir: folder, name } = input as Record<string, string | undefined>;
    const logs = table.find((call) => call.name === "proc.logs")?.output ?? null;
    return await develop({
      dir: folder ?? "",
      name,
      client: clientOf(context, globals),
      signal,
      deployed: async (result) => {
        const text = `release ${result.release} at ${result.url} (${result.ms} ms)`;
        await answer(context, globals, { json: result, text });
      },
      refused: (error) => void failed(terminal, error, globals.json),
      progress: (progress) => {
        if (progress.step === "output") terminal.complain(`  ${visible(progress.line)}\n`);
      },
      logged: async (line) => {
        const text = lineText(line, logs, lookOf(terminal));
        await answer(context, globals, { json: line, text });
      },
    });
  },
};

export const appCommands: readonly LocalCommand[] = [
  create,
  deployCommand,
  devCommand,
  exportCommand,
];
