/**
 * The system calls of events, in the table under `proc`: what an app emits and hears, one-shots,
 * and the owner's look at both.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import { namePattern, onPattern } from "./mod.ts";

const Name = z
  .string()
  .max(200)
  .regex(namePattern, 'must be words with dots, such as "post.created"')
  .describe("name of the event; without namespace it is in the app's own, app:<name>.");
const Pattern = z
  .string()
  .max(200)
  .regex(onPattern, 'must be such as "post.created", "app:blog.*" or "system.app.crashed"')
  .describe("name of an event, or a namespace and .*; without namespace the app's own");
const Payload = z.unknown().describe("any JSON value of at most 64 KB");
const Id = z
  .string()
  .min(1)
  .max(200)
  .describe("id of the one-shot; one of the same id is replaced");
const AppArg = z.string().min(1).max(100).describe("name or id of the app");

const emit = call({
  summary: "Emit an event of the calling app",
  manual:
    "Answers when it is durable. Every subscriber gets it at least once, with three retries; " +
    "it is kept seven days. At most 100 a second.",
  needs: "proc:self",
  errors: ["EFBIG", "EDQUOT"],
  effect: "write",
  surfaces: ["app"],
  input: z.object({ name: Name, payload: Payload.optional() }),
  output: z.object({ id: z.int().describe("number of the event; later ones are higher") }),
  examples: [
    { say: "Tell who wants to know", input: { name: "post.created", payload: { id: 7 } } },
  ],
  run: (kernel, { caller }, input) => kernel.event.emit(caller, input),
});

const on = call({
  summary: "Subscribe the calling app to events",
  manual:
    "In an app: kernel.proc.on(name, handler), at the top of the module, so that a process woken " +
    "by an event has its handler. The handler gets { id, name, payload, at }; when it throws, or " +
    "takes over 30 seconds, the event comes again. The subscription outlives the process. Handlers are " +
    "begun in the order of emission, up to eight at once: one that waits does not hold up the " +
    "next, so what must be in order is put in order by the event's id. Another " +
    'app\'s events need "events:<app>" in app.json under "permissions".',
  needs: "proc:self",
  errors: ["EDQUOT"],
  effect: "write",
  idempotent: true,
  surfaces: ["app"],
  input: z.object({ name: Pattern }),
  output: z.object({ name: z.string().describe("the pattern with its namespace") }),
  examples: [{ say: "Hear of every new post", input: { name: "app:blog.post.*" } }],
  run: (kernel, { caller }, { name }) => kernel.event.on(caller, name),
});

const off = call({
  summary: "End a subscription of the calling app",
  needs: "proc:self",
  errors: [],
  effect: "write",
  idempotent: true,
  surfaces: ["app"],
  input: z.object({ name: Pattern }),
  output: z.object({ ended: z.boolean().describe("false when there was none") }),
  examples: [{ say: "Hear of posts no more", input: { name: "app:blog.post.*" } }],
  run: async (kernel, { caller }, { name }) => ({ ended: await kernel.event.off(caller, name) }),
});

const schedule = call({
  summary: "Request a path of the calling app later, once",
  manual:
    "A POST whose body is the payload, with the header x-fazt-schedule: the id, which no client " +
    "can set. Durable; made at least once, with three retries when the answer is 400 or above.",
  needs: "proc:self",
  errors: ["EFBIG", "EDQUOT"],
  effect: "write",
  surfaces: ["app"],
  input: z.object({
    path: z
      .string()
      .max(1024)
      .regex(/^\/[^\0\s]*$/, 'must start with "/"')
      .describe("path of this app"),
    at: z.int().min(0).optional().describe("when, Unix ms"),
    afterMs: z.int().min(0).optional().describe("how long from now, milliseconds"),
    id: Id.optional(),
    payload: Payload.optional(),
  }),
  output: z.object({
    id: z.string().describe("id, for proc.cancel"),
    at: z.int().describe("when, Unix ms"),
  }),
  examples: [
    {
      say: "Remind somebody tomorrow",
      input: { path: "/remind", afterMs: 86_400_000, payload: { user: 7 } },
    },
  ],
  run: (kernel, { caller }, input) => kernel.event.schedule(caller, input),
});

const cancel = call({
  summary: "Take a scheduled request back",
  needs: "proc:self",
  errors: [],
  effect: "write",
  idempotent: true,
  surfaces: ["app"],
  input: z.object({ id: Id }),
  output: z.object({ canceled: z.boolean().describe("false when it has been made, or never was") }),
  examples: [{ say: "No reminder after all", input: { id: "remind-7" } }],
  run: async (kernel, { caller }, { id }) => ({ canceled: await kernel.event.cancel(caller, id) }),
});

const events = call({
  summary: "List the events of the last seven days, newest first",
  needs: "proc:read",
  errors: ["ENOENT"],
  effect: "read",
  args: ["app"],
  input: z.object({
    app: AppArg.optional(),
    limit: z.int().min(1).max(1000).default(100).describe("at most so many"),
  }),
  output: z.array(
    z.object({
      id: z.int().describe("number of the event"),
      name: z.string().describe("name with its namespace"),
      at: z.int().describe("Unix ms"),
      payload: z.unknown().describe("what it carries"),
      waiting: z.int().describe("deliveries that wait"),
      failed: z.int().describe("deliveries given up after their retries"),
    }),
  ),
  examples: [{ say: "What has the blog told?", input: { app: "blog" } }],
  run: (kernel, _invocation, { app, limit }) =>
    kernel.event.ls({ app: app === undefined ? undefined : kernel.app.get(app), limit }),
});

const jobs = call({
  summary: "List what will run by itself: cron entries and scheduled requests",
  needs: "proc:read",
  errors: ["ENOENT"],
  effect: "read",
  args: ["app"],
  input: z.object({ app: AppArg.optional() }),
  output: z.array(
    z.object({
      app: z.string().describe("name of the app"),
      kind: z.enum(["cron", "once"]).describe("cron entry or one-shot"),
      id: z.string().nullable().describe("id of a one-shot"),
      schedule: z.string().nullable().describe("five fields, as in crontab(5)"),
      zone: z.string().nullable().describe("time zone of the schedule"),
      path: z.string().describe("path that is requested"),
      dueAt: z.int().describe("next time, Unix ms"),
      lastAt: z.int().nullable().describe("end of the last run, Unix ms"),
      lastStatus: z.int().nullable().describe("HTTP status of the last run"),
      reason: z.string().nullable().describe("why it is tried again, or null"),
    }),
  ),
  examples: [{ say: "When does the blog send its digest?", input: { app: "blog" } }],
  run: (kernel, _invocation, { app }) =>
    kernel.event.jobs(app === undefined ? undefined : kernel.app.get(app)),
});

export const event = { emit, on, off, schedule, cancel, events, jobs };
