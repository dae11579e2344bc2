/**
 * The net domain's interface: the listener, the routing table and the access log.
 *
 * Rules: the Host decides the app, exact before wildcard; an unknown host learns nothing (421);
 * forwarded headers are set here and never believed; bodies and replies are streamed with
 * back-pressure; the OS shell answers whatever the apps do.
 */
import type { App, Apps } from "../app/mod.ts";
import { inTime } from "../closing.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import { createPages } from "../page.ts";
import type { Proc } from "../proc/mod.ts";
import type { Security } from "../security/mod.ts";
import type { Adjustable, Storage } from "../storage/mod.ts";
import { createAccessLog } from "./access.ts";
import { type Certs, covers, createCerts, type Hosts } from "./cert/mod.ts";
import { createClients, type Verdicts } from "./client/mod.ts";
import { examine, type Finding } from "./doctor/mod.ts";
import { createEgress, type Egress, type Resolve } from "./egress/mod.ts";
import type { Desk, Server } from "./exchange.ts";
import { createGuard, type Guard, type GuardCounts, type UnderWay } from "./guard/mod.ts";
import { routeHost, routeName } from "./host.ts";
import { cutMsMax, drainMsMax, handOverMs, idleTimeoutS, longPerTurn } from "./limits.ts";
import { bindServer, openedAt, openUrl, portSuffix } from "./listener.ts";
import { splitRoute } from "./prefix.ts";
import { createReception } from "./request.ts";
import { createRoutes, type Routes } from "./route.ts";
import {
  betterHost,
  createRules,
  type Redirect,
  type Rest,
  type Rules,
  siblingsOf,
  type Wish,
} from "./rule/mod.ts";
import { type Generation, openSecure, type SecureListener } from "./secure.ts";
import { createSockets, type Sockets } from "./socket.ts";
import { isReserved, lookup, routeOf, type Table } from "./table.ts";
import {
  createPrivacy,
  createTraffic,
  type Privacy,
  type RouteUsage,
  topClientsMax,
} from "./traffic/mod.ts";
import { createTurns } from "./turn.ts";

export interface RouteInfo {
  readonly host: string;
  readonly app: string;
  readonly appId: string;
  /** `name`: follows from the app's name and the domain; `added`: by the owner; `manifest`. */
  readonly origin: "name" | "added" | "manifest";
}

/** Answers requests for the OS host (and every host while unclaimed); given by boot. */
export type OsHandler = (
  request: Request,
  context: { address: string | null; secure: boolean; requestId: string; unclaimed: boolean },
) => Response | Promise<Response>;

export interface Listening {
  /** Base URL people can open, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly port: number;
}

export interface NetStatus {
  readonly http: string | null;
  readonly https: string | null;
  /** Answered since boot. */
  readonly requests: number;
  /** Requests and WebSockets under way. */
  readonly connections: number;
  /** Connections at the guard's last look, idle ones too. */
  readonly open: number;
  /** Connections that were ended, by reason. */
  readonly ended: GuardCounts["ended"];
  readonly webSockets: number;
  /** Answers by class, `1xx` to `5xx`. */
  readonly byClass: Readonly<Record<string, number>>;
  /** Answers by the time to their head; each bucket's own, `leMs` null is the last. */
  readonly latency: readonly { readonly leMs: number | null; readonly count: number }[];
}

export interface Net {
  /** Opens the HTTP listener. EADDRINUSE with who to ask in the hint, EACCES, EINVAL. */
  listen(address: string, os: OsHandler): Listening;
  /** Opens the HTTPS listener, with a certificate of its own signing where there is no other. */
  listenSecure(address: string, os: OsHandler): Promise<Listening>;
  readonly certs: Certs;
  /** Hosts that lead elsewhere. */
  redirects: {
    ls(): readonly Redirect[];
    /** EEXIST (routed, or the system's), EINVAL, EDQUOT, ENOSPC. */
    add(wish: Wish): Promise<Redirect>;
    /** ENOENT, EINVAL, ENOSPC. */
    rm(host: string): Promise<void>;
  };
  /** Apps whose hosts lead to one of them. */
  primaries: {
    ls(): readonly { readonly app: string; readonly host: string | null }[];
    /** EINVAL: the app does not have that host. ENOSPC. */
    set(app: App, host: string | null): Promise<{ app: string; host: string | null }>;
  };
  /** Apps whose visitors are shown a page. */
  rests: {
    ls(): readonly Rest[];
    /** Null: the app answers again. ENOSPC. */
    set(appId: string, retryAfterS: number | null): Promise<void>;
  };
  /** What the owner has said of clients' networks. */
  readonly clients: Pick<Verdicts, "ls" | "put" | "rm">;
  /** The limits of the listeners that the owner may change. */
  readonly limits: Adjustable;
  /** What the access log says of clients. */
  readonly privacy: Pick<Privacy, "show" | "set">;
  readonly traffic: {
    /** What each host has answered since boot. */
    routes(): readonly RouteUsage[];
    /** Who has the most connections, as the access log names them; empty where it does not. */
    clients(): readonly { readonly name: string; readonly connections: number }[];
  };
  /** What keeps a host from being served. EINVAL. */
  doctor(host: string): Promise<Finding[]>;
  /** The only way out for apps. */
  readonly egress: Egress;
  routes: {
    ls(): RouteInfo[];
    /** EEXIST (another app has the host, or it leads elsewhere), EINVAL, ENOENT (app), EDQUOT. */
    add(host: string, appId: string): Promise<RouteInfo>;
    /** ENOENT, EINVAL (follows from a name or a manifest). */
    rm(host: string): Promise<void>;
  };
  status(): NetStatus;
  /** The public URL of an app on this machine. */
  urlOf(appName: string): string;
  /** While true nobody is answered but the owner, at the OS host. */
  cockpitOnly(only: boolean): void;
  /** Begins nothing by itself any more; what comes is answered. */
  yieldWork(): Promise<void>;
  /**
   * Lets go of the listeners another kernel has beside this one: whoever is connected is told to
   * come again, WebSockets are closed with 1012, and then all of it as with `close`.
   */
  leave(): Promise<void>;
  /** The kernel that had the listeners before has gone. */
  alone(): void;
  /** Stops accepting, lets requests finish (bounded), closes WebSockets with 1012. Idempotent. */
  close(): Promise<void>;
}

export interface NetOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly apps: Apps;
  readonly proc: Proc;
  readonly security: Security;
  /** How apps' requests find addresses; the machine's resolver when it is absent. */
  readonly resolve?: Resolve | undefined;
  /** Seconds of the listeners' timers; `idleTimeoutS` when absent. */
  readonly idleS?: number;
  /** Whether another kernel has the listeners, and hands over to this one. */
  readonly beside?: boolean;
}

/** The network of this kernel; it lets nobody in before `listen`. */
export function createNet(options: NetOptions): Net {
  const { machine, storage, apps, proc, security, beside = false } = options;
  const { idleS = idleTimeoutS } = options;
  const certs = createCerts({ machine, storage, security });
  const routes = createRoutes({ machine, storage, apps, security });
  const egress = createEgress(options);
  const sockets = createSockets();
  const traffic = createTraffic();
  const privacy = createPrivacy(machine, storage);
  const access = createAccessLog(machine, storage.logs, privacy);
  const reach = { cockpitOnly: false };
  const serveCerts = () => certs.serve(hostsOf(routes.table(), rules));
  const changed = (): void => {
    routes.touch();
    serveCerts();
  };
  const rules = createRules({ machine, storage, apps, changed });
  const [underWay, senders] = [new Set<UnderWay>(), new Set<UnderWay>()];
  const pages = createPages();
  const shared = { machine, storage, access, traffic, pages, reach, underWay, senders, idleS };
  const plain: Generation[] = [];
  let secure: SecureListener | null = null;

  const all = (): Generation[] => [...plain, ...(secure?.all() ?? [])];
  const inFlight = () => pendingOf(all());
  const clients = createClients({ machine, storage, changed: () => guard.touch() });
  const busy = () => [...underWay, ...senders, ...sockets.peers()];
  const guard = createGuard({ machine, clients, ports: () => portsOf(all()), underWay: busy });
  const places = { takePlace: guard.takePlace, turns: createTurns(machine, longPerTurn) };
  const backend = { proc, clients, inFlight, ...places, webSockets: sockets.count };
  const serving = { websocket: sockets.handler, tls: null, idleS };
  const plainPort = () => plain[0]?.server.port ?? null;
  const securePort = () => secure?.current().server.port ?? null;

  const urlOf = (name: string, overTls: boolean): string => {
    const host = `${name}.${routes.table().domain}`;
    const scheme = overTls || (secure !== null && certs.isTrusted(host)) ? "https" : "http";
    const port = scheme === "https" ? (securePort() ?? 443) : (plainPort() ?? 80);
    return `${scheme}://${host}${portSuffix(port, scheme)}/`;
  };

  const noSwaps = () => void secure?.close();
  const ending = createEnding({ machine, sockets, all, noSwaps }, () => {
    for (const part of [egress, guard, clients, certs, routes, rules, access]) part.close();
  });

  const makeReception = (os: OsHandler, desk: Desk, overTls: boolean) => {
    const ports = { plain: plainPort, secure: securePort };
    const parts = { desk, apps, security, routes, rules, backend, certs, os, ports };
    return createReception({ ...parts, osUrl: () => urlOf("os", overTls), secure: overTls });
  };

  return {
    get certs() {
      // A route that was added a moment ago has its certificate on the way.
      routes.checkDomain();
      return certs;
    },
    egress,
    listen: (address, os) => {
      const desk: Desk = { ...shared, draining: false };
      const handle = makeReception(os, desk, false);
      const server = bindServer(address, { ...serving, handle }, beside);
      plain.push({ server, desk });
      return openedAt(server);
    },
    listenSecure: async (address, os) => {
      serveCerts();
      await certs.open();
      const make = () => {
        const desk: Desk = { ...shared, draining: ending.begun() };
        const handle = makeReception(os, desk, true);
        return { desk, serving: { ...serving, handle, tls: certs.tls() } };
      };
      const failed = (error: unknown) => logFailure(storage, "cannot change certificates", error);
      const listener = openSecure(address, { machine, beside, make, failed });
      secure = listener;
      certs.watch(() => {
        // Whoever keeps an answer for a host asks again whether it is to be had over TLS alone.
        routes.touch();
        listener.swap();
      });
      routes.watch(serveCerts);
      serveCerts();
      return openedAt(listener.current().server);
    },
    routes: routingOf({ rules, routes }),
    redirects: redirectsOf({ rules, routes }),
    primaries: primariesOf({ apps, rules, routes }),
    rests: { ls: rules.rests, set: rules.setRest },
    clients: clients.verdicts,
    limits: clients.adjustable,
    privacy,
    traffic: { routes: traffic.usage, clients: () => topClients(guard, privacy) },
    doctor: doctorOf({ machine, certs, routes, rules }),
    status: () => ({
      http: plain[0] === undefined ? null : openUrl(plain[0].server),
      https: secure === null ? null : openUrl(secure.current().server),
      connections: inFlight(),
      webSockets: sockets.count(),
      ...guard.counts(),
      ...access.counts(),
    }),
    urlOf: (name) => {
      routes.checkDomain();
      return urlOf(name, false);
    },
    cockpitOnly: (only) => {
      reach.cockpitOnly = only;
    },
    yieldWork: async () => void (await Promise.all([certs.close(), secure?.close()])),
    alone: () => secure?.alone(),
    ...ending,
  };
}

interface Known {
  readonly rules: Rules;
  readonly routes: Routes;
}

/** Routes, of hosts that answer: one that leads elsewhere would go on doing that. */
function routingOf({ rules, routes }: Known): Net["routes"] {
  const add: Net["routes"]["add"] = async (text, appId) => {
    const { host } = splitRoute(routeName(text));
    const led = rules.redirect(host);
    if (led === null) return await routes.add(text, appId);
    throw new SysError("EEXIST", `cannot route "${text}": ${host} leads to ${led.to}`, {
      hint: `take that away first: fazt net redirect rm ${host}`,
    });
  };
  return { ls: routes.ls, add, rm: routes.rm };
}

/** Redirects of whole hosts. */
function redirectsOf({ rules, routes }: Known): Net["redirects"] {
  return {
    ls: rules.redirects,
    add: async (wish) => {
      const host = routeHost(wish.host);
      assertRedirectable(host, routes.table());
      return await rules.addRedirect({ ...wish, host });
    },
    rm: (host) => rules.rmRedirect(routeHost(host)),
  };
}

/** Clients by connections, named as the owner wants it. */
function topClients(guard: Guard, privacy: Privacy): { name: string; connections: number }[] {
  if (privacy.show().clients === "off") return [];
  const named = new Map<string, number>();
  for (const [address, connections] of guard.clients()) {
    const name = privacy.nameOf(address) ?? "";
    named.set(name, (named.get(name) ?? 0) + connections);
  }
  const sorted = [...named].sort(([, a], [, b]) => b - a).slice(0, topClientsMax);
  return sorted.map(([name, connections]) => ({ name, connections }));
}

/** Requests and WebSockets under way. */
function pendingOf(generations: readonly Generation[]): number {
  const pending = generations.map(
    ({ server }) => server.pendingRequests + server.pendingWebSockets,
  );
  return pending.reduce((sum, count) => sum + count, 0);
}

/** The ports listened on, and whether TLS is spoken there. */
function portsOf(generations: readonly Generation[]): Map<number, boolean> {
  return new Map(generations.map(({ server }) => [server.port ?? 0, server.protocol === "https"]));
}

interface Answering {
  readonly machine: Machine;
  readonly sockets: Sockets;
  readonly all: () => Generation[];
  /** No new generation from here on. */
  readonly noSwaps: () => void;
}

/** The two ways of ending, of which the first that is asked for is taken. */
function createEnding({ machine, sockets, all, noSwaps }: Answering, rest: () => void) {
  let ending: Promise<void> | null = null;
  const drain = (): void => {
    noSwaps();
    for (const { desk } of all()) desk.draining = true;
  };
  const close = async (): Promise<void> => {
    drain();
    sockets.closeAll(1012, "the server is restarting");
    await Promise.all(all().map(({ server }) => stopServer(server, machine)));
    rest();
  };
  const leave = async (): Promise<void> => {
    drain();
    sockets.closeAll(1012, "the system was upgraded: connect again");
    await new Promise<void>((resolve) => void machine.after(handOverMs, resolve));
    await close();
  };
  const once = (how: () => Promise<void>) => (): Promise<void> => {
    ending ??= how();
    return ending;
  };
  return { close: once(close), leave: once(leave), begun: () => ending !== null };
}

/** Who has a name on this machine: what an authority may be asked for. */
function hostsOf(table: Table, rules: Rules): Hosts {
  const { domain, exact, wildcard, paths } = table;
  const answered = [...exact].filter(([, holder]) => !("local" in holder && holder.local));
  const led = rules.redirects().map(({ host }) => host);
  const hosts = new Set([...answered.map(([host]) => host), ...led, ...paths.keys()]);
  const siblings = siblingsOf(table, rules);
  return { domain, exact: [...hosts], wildcard: [...wildcard.keys()], siblings };
}

/** EEXIST for a host that was routed, or is the system's; EINVAL for a wildcard. */
function assertRedirectable(host: string, table: Table): void {
  const failed = `cannot redirect "${host}"`;
  if (host.startsWith("*.")) {
    throw new SysError("EINVAL", `${failed}: a wildcard leads nowhere`, {
      hint: "redirect each host, or route the wildcard to an app that redirects",
    });
  }
  const route = routeOf(table, host);
  const routed = (route !== null && route.origin !== "name") || table.paths.has(host);
  if (!routed && !isReserved(host, table.domain)) return;
  const holder =
    route === null ? "the system itself, or a route of its paths," : `app "${route.app}"`;
  throw new SysError("EEXIST", `${failed}: ${holder} has it`, {
    hint: "choose another host, or free this one: fazt net route rm HOST",
  });
}

/** What the owner says of primary hosts, checked against the routes. */
function primariesOf(from: { apps: Apps; rules: Rules; routes: Routes }): Net["primaries"] {
  const { apps, rules, routes } = from;
  return {
    ls: () => rules.primaries().map(({ appId, host }) => ({ app: apps.get(appId).name, host })),
    set: async (app, text) => {
      const host = text === null ? null : routeHost(text);
      if (host !== null) assertOwn(host, app, routes.table());
      await rules.setPrimary(app.id, host);
      return { app: app.name, host };
    },
  };
}

/** EINVAL for a host that is not the app's own. */
function assertOwn(host: string, app: App, table: Table): void {
  const wild = host.startsWith("*.");
  if (!wild && routeOf(table, host)?.appId === app.id) return;
  const state = wild ? "a wildcard is no one host" : `app "${app.name}" does not have it`;
  throw new SysError("EINVAL", `cannot make "${host}" the primary host: ${state}`, {
    hint: `route it first: fazt net route add HOST ${app.name}`,
  });
}

/** Looks at a host, with what this machine knows of it. */
function doctorOf(of: { machine: Machine; certs: Certs; routes: Routes; rules: Rules }) {
  const { machine, certs, routes, rules } = of;
  const doctor: Net["doctor"] = async (text) => {
    const host = routeHost(text);
    const { directory, resolver } = certs.settings();
    const holder = holderName(host, routes.table(), rules);
    const cert = certs.ls().find(({ issuer, names }) => issuer === "acme" && covers(names, host));
    const problem = cert?.problem?.text ?? null;
    const certificate = cert === undefined ? null : { ...cert, problem };
    return await examine(machine, { host, directory, resolver, holder, certificate });
  };
  return doctor;
}

/** Who answers a host, in words; null: nobody. */
function holderName(host: string, table: Table, rules: Rules): string | null {
  const redirect = rules.redirect(host);
  if (redirect !== null) return `a redirect to ${redirect.to}`;
  const better = betterHost(host, table, rules);
  if (better !== null) return `a redirect to ${better}`;
  const holder = lookup(table, host);
  if (holder === null) return null;
  return holder.kind === "app" ? `app "${holder.app.name}"` : `the ${holder.kind} page`;
}

function logFailure(storage: Storage, what: string, error: unknown): void {
  const about = { app: "kernel", appId: null, releaseId: null };
  storage.logs.append({ ...about, level: "error", text: `${what}: ${String(error)}` });
}

/** Lets requests under way finish, and ends what has not after a while. */
async function stopServer(server: Server, machine: Machine): Promise<void> {
  await inTime(machine, { mostMs: drainMsMax, run: () => server.stop() });
  await inTime(machine, { mostMs: cutMsMax, run: () => server.stop(true) });
}
