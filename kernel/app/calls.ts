/**
 * The system calls of app: programs, their releases and their environment. What proc and net know
 * of an app is put beside what this domain knows; nothing is decided here.
 */
import { z } from "zod";
import { call } from "../call.ts";
import type { Kernel } from "../kernel.ts";
import type { App, Release } from "./app.ts";
import { envEntry } from "./env.ts";
import { limits } from "./limits.ts";
import { Manifest } from "./manifest.ts";
import {
  type RolledOut,
  type Rollout,
  rollback as rollBack,
  deploy as rollOut,
} from "./rollout.ts";

const AppArg = z.string().min(1).max(100).describe("name or id of the app");

const Summary = z.object({
  name: z.string().describe("name of the app"),
  id: z.string().describe("stable id; data belongs to it"),
  state: z.string().describe("state of its process, or static when it has none"),
  url: z.string().describe("where it answers"),
  release: z.string().nullable().describe("id of the current release, null before the first"),
  createdAt: z.int().describe("Unix ms of the first deploy"),
  routes: z.array(z.string()).describe("hosts it answers"),
});

const ReleaseInfo = z.object({
  id: z.string().describe("id of the release"),
  number: z.int().describe("1, 2, 3 … within the app"),
  current: z.boolean().describe("whether requests go to it"),
  createdAt: z.int().describe("Unix ms of the deploy"),
  message: z.string().describe("what the deploy said of itself"),
  files: z.int().describe("number of files"),
  sizeBytes: z.int().describe("bytes of all files"),
});

const RolloutReply = z.object({
  app: z.string().describe("name of the app"),
  id: z.string().describe("id of the app"),
  release: z.string().describe("id of the release that is current now"),
  number: z.int().describe("its number within the app"),
  url: z.string().describe("where it answers"),
  files: z.int().describe("number of files"),
  created: z.boolean().describe("whether this deploy made the app"),
});

function describeApp(kernel: Kernel, app: App) {
  return {
    name: app.name,
    id: app.id,
    state: kernel.proc.status(app).state,
    url: kernel.net.urlOf(app.name),
    release: app.releaseId,
    createdAt: app.createdAt,
    routes: kernel.net.routes.ls().flatMap((route) => (route.appId === app.id ? [route.host] : [])),
  };
}

/** The release requests go to, or null before the first deploy. */
function currentRelease(kernel: Kernel, app: App): Release | null {
  return app.releaseId === null ? null : kernel.app.release(app.releaseId);
}

function describeRelease(app: App, release: Release) {
  return {
    id: release.id,
    number: release.number,
    current: release.id === app.releaseId,
    createdAt: release.createdAt,
    message: release.message,
    files: release.fileCount,
    sizeBytes: release.sizeBytes,
  };
}

function describeRollout(kernel: Kernel, { app, release, created }: RolledOut) {
  return {
    app: app.name,
    id: app.id,
    release: release.id,
    number: release.number,
    url: kernel.net.urlOf(app.name),
    files: release.fileCount,
    created,
  };
}

const rollout = (kernel: Kernel, signal: AbortSignal): Rollout => ({
  apps: kernel.app,
  prove: (app, release) => kernel.proc.prove(app, release),
  signal,
});

const ls = call({
  summary: "List the apps",
  needs: "app:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Summary),
  examples: [{ say: "What runs here?", input: {} }],
  run: (kernel) => kernel.app.ls().map((app) => describeApp(kernel, app)),
});

const info = call({
  summary: "Describe one app",
  needs: "app:read",
  errors: ["ENOENT"],
  effect: "read",
  args: ["app"],
  input: z.object({ app: AppArg }),
  output: Summary.extend({
    stopped: z.boolean().describe("whether it was stopped and stays so over reboots"),
    current: ReleaseInfo.nullable().describe("the current release, null before the first"),
    manifest: Manifest.nullable().describe("app.json of the current release, defaults filled in"),
  }),
  examples: [{ say: "All about the blog", input: { app: "blog" } }],
  run: (kernel, _invocation, { app: name }) => {
    const app = kernel.app.get(name);
    const release = currentRelease(kernel, app);
    return {
      ...describeApp(kernel, app),
      stopped: app.stopped,
      current: release === null ? null : describeRelease(app, release),
      manifest: release?.manifest ?? null,
    };
  },
});

const deploy = call({
  summary: "Make a new release of an app and switch to it",
  manual:
    "The files' blobs are uploaded first (fs blob missing, fs blob put). The release is proved " +
    "beside the one that runs and becomes current in one step; when it does not become ready, " +
    "the old release goes on as if nothing had been. The fazt command does all of it: " +
    "fazt app deploy DIR.",
  needs: "app:deploy",
  errors: ["ENOENT", "EBUSY", "EFBIG", "EBADMSG", "ENOEXEC", "ECANCELED", "ENOSPC"],
  effect: "write",
  surfaces: ["http"],
  input: z.object({
    name: z.string().max(100).describe("name of the app, made when it is new"),
    manifest: Manifest.describe("app.json"),
    files: z
      .array(
        z.object({
          path: z.string().max(4096).describe("relative path within the release"),
          hash: z
            .string()
            .regex(/^[0-9a-f]{64}$/)
            .describe("SHA-256 of the bytes, hex"),
          sizeBytes: z.int().min(0).describe("bytes"),
          mode: z.int().min(0).max(0o777).default(0o644).describe("Unix permission bits"),
        }),
      )
      .describe("every file of the release"),
    message: z.string().max(limits.messageCharsMax).default("").describe("what changed"),
  }),
  output: RolloutReply,
  examples: [
    {
      say: "A site of one page",
      input: {
        name: "blog",
        manifest: {},
        files: [
          {
            path: "index.html",
            hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            sizeBytes: 0,
          },
        ],
      },
    },
  ],
  run: async (kernel, { caller, signal }, what) => {
    const on = rollout(kernel, signal);
    return describeRollout(kernel, await rollOut(on, caller, what));
  },
});

const releases = call({
  summary: "List the releases of an app, newest first",
  needs: "app:read",
  errors: ["ENOENT"],
  effect: "read",
  args: ["app"],
  input: z.object({ app: AppArg }),
  output: z.array(ReleaseInfo),
  examples: [{ say: "What can be rolled back to?", input: { app: "blog" } }],
  run: (kernel, _invocation, { app: name }) => {
    const app = kernel.app.get(name);
    return kernel.app.releases(app.id).map((release) => describeRelease(app, release));
  },
});

const rollback = call({
  summary: "Switch to an earlier release",
  needs: "app:deploy",
  errors: ["ENOENT", "EBUSY", "EBADMSG", "ENOEXEC", "ECANCELED", "ENOSPC"],
  effect: "write",
  args: ["app", "release"],
  input: z.object({
    app: AppArg,
    release: z.string().max(100).optional().describe("number or id; the one before when absent"),
  }),
  output: RolloutReply,
  examples: [
    { say: "Back to the release before", input: { app: "blog" } },
    { say: "Back to the third release", input: { app: "blog", release: "3" } },
  ],
  run: async (kernel, { signal }, input) => {
    const on = rollout(kernel, signal);
    return describeRollout(kernel, await rollBack(on, input.app, input.release));
  },
});

const rename = call({
  summary: "Give an app another name",
  manual: "Its data, releases and environment stay: they belong to its id. Its URL changes.",
  needs: "app:deploy",
  errors: ["ENOENT", "EEXIST", "EBUSY", "ENOSPC"],
  effect: "write",
  args: ["app", "to"],
  input: z.object({ app: AppArg, to: z.string().max(100).describe("the new name") }),
  output: Summary,
  examples: [{ say: "The blog becomes the journal", input: { app: "blog", to: "journal" } }],
  run: async (kernel, _invocation, { app, to }) =>
    describeApp(kernel, await kernel.app.rename(app, to)),
});

const rm = call({
  summary: "Remove an app",
  manual:
    "The name is free at once. Until its data is erased, after 30 days, the app can be brought back " +
    "with all it had: fazt app restore. With purge it is erased now, also when it was removed before.",
  needs: "app:write",
  errors: ["ENOENT", "EBUSY", "ENOSPC"],
  effect: "destroy",
  args: ["app"],
  input: z.object({
    app: AppArg,
    purge: z.boolean().default(false).describe("erase its data now, for good"),
  }),
  output: z.object({
    app: z.string().describe("the name that is free now"),
    id: z.string().describe("id of the app that was removed"),
    purged: z.boolean().describe("whether its data is gone already"),
    restorableUntil: z
      .int()
      .nullable()
      .describe("Unix ms until which it can be brought back, or null"),
  }),
  examples: [
    { say: "Remove it, keep its data 30 days", input: { app: "blog" } },
    { say: "Leave nothing of it", input: { app: "blog", purge: true } },
  ],
  run: async (kernel, _invocation, { app: name, purge }) => {
    const gone = purge && kernel.app.find(name) === null ? findRemoved(kernel, name) : null;
    const app = gone?.app ?? kernel.app.get(name);
    await kernel.app.rm(app.id, { purge });
    const restorableUntil = findRemoved(kernel, app.id)?.purgeAt ?? null;
    return { app: app.name, id: app.id, purged: purge, restorableUntil };
  },
});

const findRemoved = (kernel: Kernel, nameOrId: string) =>
  kernel.app.removed().find(({ app }) => app.id === nameOrId || app.name === nameOrId);

const removed = call({
  summary: "List the apps that were removed and can be brought back",
  needs: "app:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(
    z.object({
      name: z.string().describe("the name it had"),
      id: z.string().describe("its id"),
      removedAt: z.int().describe("Unix ms"),
      restorableUntil: z.int().describe("Unix ms; from then on it is erased"),
    }),
  ),
  examples: [{ say: "What did I remove?", input: {} }],
  run: (kernel) =>
    kernel.app.removed().map(({ app, purgeAt }) => ({
      name: app.name,
      id: app.id,
      removedAt: app.removedAt ?? 0,
      restorableUntil: purgeAt,
    })),
});

const restore = call({
  summary: "Bring a removed app back, with its data, releases and settings",
  manual: "The latest one of that name, or the one with that id (fazt app removed lists them).",
  needs: "app:write",
  errors: ["ENOENT", "EEXIST"],
  effect: "write",
  args: ["app"],
  input: z.object({
    app: z.string().max(100).describe("name it had, or its id"),
    name: z.string().max(100).optional().describe("another name, when the old one is taken"),
  }),
  output: z.object({
    app: z.string().describe("its name now"),
    id: z.string().describe("its id, as before"),
    url: z.string().describe("where it answers"),
  }),
  examples: [
    { say: "I did not mean it", input: { app: "blog" } },
    { say: "Beside the new one", input: { app: "blog", name: "old-blog" } },
  ],
  run: async (kernel, _invocation, { app: nameOrId, name }) => {
    const app = await kernel.app.restore(nameOrId, name);
    return { app: app.name, id: app.id, url: kernel.net.urlOf(app.name) };
  },
});

const envLs = call({
  summary: "List the variables of an app, without the secrets' values",
  needs: "app:read",
  errors: ["ENOENT"],
  effect: "read",
  args: ["app"],
  input: z.object({ app: AppArg }),
  output: z.array(
    z.object({
      name: z.string().describe("name of the variable"),
      secret: z.boolean().describe("whether it is sealed"),
      value: z.string().nullable().describe("its value, null for a secret"),
      updatedAt: z.int().describe("Unix ms of the last change"),
    }),
  ),
  examples: [{ say: "What is the blog told?", input: { app: "blog" } }],
  run: (kernel, _invocation, { app }) => kernel.app.env.ls(kernel.app.get(app).id),
});

const envSet = call({
  summary: "Set a variable of an app, plain or secret",
  manual:
    "Give either value, or secret: a secret is sealed with the machine's key and never shown " +
    "again, and is read from a file or standard input. The app sees it from its next start.",
  needs: "app:write",
  errors: ["ENOENT", "EFBIG", "EDQUOT", "ENOSPC"],
  effect: "write",
  idempotent: true,
  args: ["app", "name", "value"],
  secrets: ["secret"],
  input: z.object({
    app: AppArg,
    name: z.string().max(200).describe("capital letters, digits and underscores"),
    value: z.string().optional().describe("a plain value"),
    secret: z.string().optional().describe("a value to be sealed"),
  }),
  output: z.object({
    name: z.string().describe("name of the variable"),
    secret: z.boolean().describe("whether it is sealed"),
  }),
  examples: [
    { say: "A greeting", input: { app: "blog", name: "GREETING", value: "hello" } },
    { say: "A key nobody reads again", input: { app: "blog", name: "API_KEY", secret: "…" } },
  ],
  run: async (kernel, { caller }, { app, ...given }) => {
    const entry = envEntry(given);
    await kernel.app.env.set(kernel.app.get(app).id, [entry], caller);
    return { name: entry.name, secret: entry.secret };
  },
});

const envRm = call({
  summary: "Remove a variable of an app",
  needs: "app:write",
  errors: ["ENOENT", "ENOSPC"],
  effect: "destroy",
  args: ["app", "name"],
  input: z.object({ app: AppArg, name: z.string().max(200).describe("name of the variable") }),
  output: z.object({ name: z.string().describe("name of the variable that is gone") }),
  examples: [{ say: "No more greeting", input: { app: "blog", name: "GREETING" } }],
  run: async (kernel, _invocation, { app, name }) => {
    await kernel.app.env.rm(kernel.app.get(app).id, name);
    return { name };
  },
});

const exportCall = call({
  summary: "Write an app into one file, a cartridge",
  manual:
    "Its current release, files, pairs, documents, SQL volume and environment; of secrets only " +
    "the names. The fazt command writes it to a file: fazt app export APP FILE.cart.",
  needs: "app:export",
  errors: ["ENOENT", "EBUSY", "EBADMSG"],
  effect: "read",
  audited: true,
  reply: "bytes",
  surfaces: ["http"],
  args: ["app"],
  input: z.object({ app: AppArg }),
  output: z.void(),
  examples: [{ say: "The blog, to be carried elsewhere", input: { app: "blog" } }],
  run: async (kernel, _invocation, { app }) => ({
    stream: await kernel.app.exportCartridge(kernel.app.get(app), kernel.version),
    sizeBytes: null,
    contentType: "application/vnd.sqlite3",
  }),
});

const importCall = call({
  summary: "Make an app of a cartridge",
  manual:
    "The body is the file. All of it becomes an app with an id of its own, or nothing does. When " +
    "there is an app of that name: refuse says so, skip leaves it as it is, overwrite replaces " +
    "it in one step and keeps what it was for 30 days, as a removed app; merge leaves the app its " +
    "id, secrets, SQL volume and whatever the cartridge does not have, and takes from it the release, " +
    "plain variables, files, pairs and documents, in one step. Of an app that is replaced the secrets, " +
    "routed hosts, primary host and rest are carried over, the hosts it may fetch from are not; " +
    "secrets that are missing are named.",
  needs: "app:write",
  errors: ["EEXIST", "EBADMSG", "EBUSY", "ENOEXEC", "ECANCELED", "EFBIG"],
  effect: "write",
  upload: true,
  uploadBytesMax: limits.cartridgeBytesMax,
  input: z.object({
    name: z.string().max(100).optional().describe("another name than the cartridge's"),
    mode: z
      .enum(["refuse", "skip", "overwrite", "merge"])
      .default("refuse")
      .describe("what is done when there is an app of that name"),
  }),
  output: z.object({
    app: z.string().describe("name of the app"),
    id: z.string().describe("id of the app"),
    url: z.string().describe("where it answers"),
    imported: z.boolean().describe("false: there was one of that name, and it was left as it is"),
    replaced: z.string().nullable().describe("id of the app that was replaced, or null"),
    merged: z.boolean().describe("true: there was one of that name, and it was joined with"),
    missingSecrets: z.array(z.string()).describe("secrets it had elsewhere, to be set here"),
  }),
  examples: [
    { say: "Under the name it had", input: {} },
    { say: "Beside the one that is there", input: { name: "blog-2" } },
  ],
  run: async (kernel, { caller, body, signal }, { name, mode }) => {
    const { prove } = rollout(kernel, signal);
    const done = await kernel.app.importCartridge({
      from: caller,
      body,
      signal,
      name,
      mode,
      prove,
    });
    const { imported, replaced, merged, missingSecrets } = done;
    const { id, name: app } = done.app;
    return { app, id, url: kernel.net.urlOf(app), imported, replaced, merged, missingSecrets };
  },
});

export const app = {
  ls,
  info,
  deploy,
  releases,
  rollback,
  rename,
  rm,
  removed,
  restore,
  export: exportCall,
  import: importCall,
  env: { ls: envLs, set: envSet, rm: envRm },
};
