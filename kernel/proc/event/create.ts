/**
 * Makes the event domain: the journal of events, who hears them, the courier and the timetable,
 * and what they follow: deploys, removals, processes that come up or stay down.
 */
import type { App, AppEvent, Apps } from "../../app/mod.ts";
import type { Caller } from "../../caller.ts";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import type { Proc } from "../mod.ts";
import { Courier } from "./courier.ts";
import type { Events, JobInfo } from "./event.ts";
import { createJournal, encodePayload } from "./journal.ts";
import { compareAfterMs, sweepMs } from "./limits.ts";
import { cancelOneShot, setOneShot } from "./oneshot.ts";
import { createSubscriptions, fullName, patternsOf, sourceOf } from "./subscription.ts";
import { Timetable } from "./timetable.ts";

export interface EventsOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly apps: Apps;
  readonly proc: Pick<Proc, "ask" | "watch">;
}

/** The event domain. What was due while the kernel was down is begun at once. */
export function createEvents(options: EventsOptions): Events {
  const { machine, storage, apps, proc } = options;
  const journal = createJournal({ machine, storage });
  const subscriptions = createSubscriptions({ machine, storage, apps });
  const note = ({ name, id, releaseId }: App, text: string) =>
    storage.logs.append({
      app: name,
      appId: id,
      releaseId,
      level: "warn",
      text: `[kernel] ${text}`,
    });
  const courier = new Courier({
    ...options,
    note,
    unheard: (app, name) => void unheard(app, name),
  });
  const timetable = new Timetable({ ...options, note });
  const self = (from: Caller) => apps.subject(from, undefined);
  const failed = (what: string) => (error: unknown) => {
    const text = `event: cannot ${what}: ${error instanceof Error ? error.message : String(error)}`;
    storage.logs.append({ app: "kernel", appId: null, releaseId: null, level: "error", text });
  };

  /** Ends the subscriptions by which an event came to a process without a handler for it. */
  async function unheard(app: App, name: string): Promise<void> {
    for (const pattern of patternsOf(name)) {
      const ended = await subscriptions.rm(app.id, pattern).catch(() => false);
      if (ended) note(app, `listens to "${pattern}" no more: its process has no handler for it`);
    }
  }

  async function put(
    from: { appId: string; userId: string | null },
    what: { name: string; payload: unknown; about?: App | undefined },
  ): Promise<{ id: number }> {
    const hearers = subscriptions.hearers(what.name, what.about);
    if (from.appId === "" && hearers.length === 0) return { id: 0 };
    const json = encodePayload(what.name, what.payload);
    const { id, dropped } = await journal.put({ ...from, name: what.name, json, hearers });
    for (const hearer of hearers) courier.kick(hearer);
    for (const appId of dropped) {
      const app = apps.find(appId);
      if (app !== null) note(app, `too many events wait: event "${what.name}" is not delivered`);
    }
    return { id };
  }

  const tell: Events["tell"] = async (name, payload, about) => {
    await put({ appId: "", userId: null }, { name: `system.${name}`, payload, about });
  };

  const unwatchApps = apps.watch(async (event: AppEvent) => {
    const { app } = event;
    if (event.kind === "removed") {
      // It may come back, with what it hears of and what waits for it; its manifest has the rest.
      await timetable.drop(app.id);
      await tell("app.removed", { app: app.name }, app);
    } else if (event.kind === "purged") {
      subscriptions.forget(app.id);
      await journal.erase(app.id);
    } else if (event.kind === "switched") {
      courier.revive(app.id);
      courier.kick(app.id);
      await timetable.follow(app);
      await tell("app.deployed", { app: app.name, release: event.release.id }, app);
    }
  });
  const unwatchProc = proc.watch(({ app, state, reason }) => {
    if (state === "running") courier.revive(app.id);
    else tell("app.crashed", { app: app.name, reason }, app).catch(failed("tell of a crash"));
  });
  const sweeping = machine.every(sweepMs, () => void journal.sweep().catch(failed("sweep")));
  // After boot, which nobody should wait for: a kernel may have died between switch and timetable.
  const comparing = machine.after(compareAfterMs, () => {
    void (async () => {
      for (const app of apps.ls()) await timetable.follow(app);
    })().catch(failed("compare the timetable"));
  });
  courier.wake();
  void timetable.begin().catch(failed("begin the timetable"));

  return {
    async emit(from, { name, payload }) {
      const app = self(from);
      const full = fullName(app, name);
      if (sourceOf(full) !== app.name || full.startsWith("system.")) throw foreign(full, app);
      journal.pace(app.id, full);
      return await put({ appId: app.id, userId: from.userId }, { name: full, payload });
    },
    async on(from, name) {
      const app = self(from);
      const pattern = fullName(app, name);
      await subscriptions.add(app, pattern, from.releaseId);
      return { name: pattern };
    },
    off: async (from, name) => {
      const app = self(from);
      return await subscriptions.rm(app.id, fullName(app, name));
    },
    async schedule(from, what) {
      const set = await setOneShot(options, self(from), what);
      courier.expect(set.at);
      return set;
    },
    cancel: async (from, id) => await cancelOneShot(storage, self(from), id),
    ls: ({ app, limit }) => journal.ls({ appId: app?.id, limit }),
    jobs: (app) => jobs(storage, apps, app),
    tell,
    wake: () => courier.wake(),
    close() {
      unwatchApps();
      unwatchProc();
      sweeping.cancel();
      comparing.cancel();
      courier.close();
      timetable.close();
    },
  };
}

function foreign(name: string, app: App): SysError {
  return new SysError("EPERM", `cannot emit "${name}": it is not this app's namespace`, {
    hint: `an app emits in app:${app.name}. alone; leave the namespace out`,
  });
}

type JobRow = Omit<JobInfo, "app"> & { readonly appId: string };

function jobs(storage: Storage, apps: Apps, app: App | undefined): JobInfo[] {
  const rows = storage.read.all<JobRow>(
    `SELECT app_id AS appId, 'cron' AS kind, NULL AS id, schedule, zone, path, due_at AS dueAt,
       last_at AS lastAt, last_status AS lastStatus, NULL AS reason
     FROM event_cron WHERE ?1 IS NULL OR app_id = ?1
     UNION ALL
     SELECT app_id, 'once', key, NULL, NULL, path, due_at, NULL, NULL, reason
     FROM event_task WHERE key IS NOT NULL AND (?1 IS NULL OR app_id = ?1)
     ORDER BY dueAt`,
    app?.id ?? null,
  );
  return rows.flatMap(({ appId, ...row }) => {
    const owner = apps.find(appId);
    return owner === null ? [] : [{ ...row, app: owner.name }];
  });
}
