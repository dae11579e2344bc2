/**
 * egress: the only way out for apps. `fetch` inside an app is this call.
 *
 * Order, for the first request and for every redirect again: may this app reach this host
 * (`policy.ts`) → its budget → secrets into headers → resolve, filter, connect (`connect.ts`).
 * Everything is logged: method, host, status, bytes, time; never a path, a header or a body.
 */
import type { App, AppEvent, Apps, Release } from "../../app/mod.ts";
import type { Caller } from "../../caller.ts";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Security } from "../../security/mod.ts";
import type { Storage } from "../../storage/mod.ts";
import { createReach } from "./address.ts";
import { Budgets } from "./budget.ts";
import { AnswerCache } from "./cache.ts";
import { Chain, type ChainParts } from "./chain.ts";
import { type Resolve, systemResolve } from "./connect.ts";
import { Grants, type Word } from "./grant.ts";
import { type Pattern, readPattern, targetOf } from "./pattern.ts";
import { decide, type Rules } from "./policy.ts";
import type { HeaderLines } from "./secret.ts";

/** What an app asks for. */
export interface EgressRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: HeaderLines;
  readonly redirect: "follow" | "manual" | "error";
  readonly cache: "default" | "no-store";
  readonly body: ReadableStream<Uint8Array>;
  readonly signal: AbortSignal;
}

/** The head of an answer; its body follows as it came, still encoded. */
export interface EgressHead {
  readonly url: string;
  readonly redirected: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [string, string])[];
}

export interface EgressAnswer {
  readonly head: EgressHead;
  readonly body: ReadableStream<Uint8Array> | null;
}

/** One host of one app, as it is listed. */
export interface EgressInfo {
  readonly app: string;
  readonly host: string;
  /** `asked`: the manifest names it and the owner has not agreed yet. */
  readonly state: "allowed" | "denied" | "asked";
  readonly origin: "owner" | "manifest";
  readonly near: boolean;
  /** Names of secrets that may go there. */
  readonly secrets: readonly string[];
}

export interface Egress {
  /** EACCES, EAGAIN, ECANCELED, EINVAL, EIO, ENOENT, ETIMEDOUT. */
  fetch(from: Caller, request: EgressRequest): Promise<EgressAnswer>;
  ls(app?: App): EgressInfo[];
  /** The owner's word about a host: replaces what was said of it. EDQUOT. */
  say(from: Caller, word: Word): Promise<void>;
  close(): void;
}

export interface EgressOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly security: Security;
  readonly apps: Apps;
  /** How names become addresses; the machine's resolver when it is absent. */
  readonly resolve?: Resolve | undefined;
}

export function createEgress(options: EgressOptions): Egress {
  const { machine, storage, apps } = options;
  const grants = new Grants(options);
  const budgets = new Budgets(machine);
  const parts: ChainParts = {
    connector: { machine, resolve: options.resolve ?? systemResolve, reach: createReach() },
    budgets,
    cache: new AnswerCache(),
    judge: (app, release, url) => judge(grants, { app, release }, url),
    secrets: (appId) => grants.of(appId).secrets,
    note: (app, text, level) =>
      storage.logs.append({
        app: app.name,
        appId: app.id,
        releaseId: app.releaseId,
        level,
        text: `[egress] ${text}`,
      }),
  };
  const unwatch = apps.watch((event: AppEvent) => {
    grants.forget(event.app.id);
    if (event.kind === "removed") budgets.forget(event.app.id);
    // What is removed may come back, with all the owner has said of it.
    if (event.kind === "purged") return grants.erase(event.app.id);
    return;
  });

  return {
    fetch: (from, request) => {
      const app = apps.subject(from, undefined);
      const release = apps.release(from.releaseId ?? app.releaseId ?? "");
      return new Chain(parts, { app, release, request }).run();
    },
    ls: (one) =>
      (one === undefined ? apps.ls() : [one]).flatMap((app) => listed(grants, apps, app)),
    say: (from, word) => grants.say(from, word),
    close: unwatch,
  };
}

/** What a release's manifest asks for; a pattern that is none asks for nothing. */
function askedBy({ manifest }: Release): Pattern[] {
  return manifest.egress.flatMap((text) => {
    try {
      return [readPattern(text)];
    } catch {
      return [];
    }
  });
}

/** Whether this app may reach this URL's host, or EACCES with what to do. */
function judge(
  grants: Grants,
  { app, release }: { app: App; release: Release },
  url: URL,
): { near: boolean } {
  const target = targetOf(url);
  const rules: Rules = {
    grants: grants.of(app.id).grants,
    asked: askedBy(release),
    agreed: release.egressAgreed,
  };
  const verdict = decide(rules, target);
  if (verdict.kind === "allowed") return verdict;
  const standard = target.port === 80 || target.port === 443;
  const host = standard ? target.host : `${target.host}:${target.port}`;
  const allow = `fazt net egress allow ${app.name} ${host}`;
  const [state, hint] = {
    denied: ["the owner has denied it", allow],
    asked: ["app.json asks for it, and the owner has not agreed", allow],
    unasked: [
      "not among the hosts it may reach",
      `name it in app.json under "egress", or: ${allow}`,
    ],
  }[verdict.kind] as [string, string];
  throw new SysError("EACCES", `cannot fetch from "${host}": ${state}`, { hint });
}

function listed(grants: Grants, apps: Apps, app: App): EgressInfo[] {
  const { grants: said, secrets } = grants.of(app.id);
  const own = said.map(
    ({ pattern, allowed, near }): EgressInfo => ({
      app: app.name,
      host: pattern.text,
      state: allowed ? "allowed" : "denied",
      origin: "owner",
      near,
      secrets: secrets.filter((one) => one.pattern.text === pattern.text).map(({ name }) => name),
    }),
  );
  if (app.releaseId === null) return own;
  const release = apps.release(app.releaseId);
  const state = release.egressAgreed ? "allowed" : "asked";
  const asked = askedBy(release)
    .filter(({ text }) => !said.some(({ pattern }) => pattern.text === text))
    .map(({ text }): EgressInfo => {
      return { app: app.name, host: text, state, origin: "manifest", near: false, secrets: [] };
    });
  return [...own, ...asked];
}
