/**
 * A listener on a real port over real storage, with apps and processes that the test programs.
 * net takes those as interfaces; here each is as small as the interface allows. What crosses the
 * real domains is in `tests/integration/`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type App, type AppEvent, type Apps, Manifest, type Release } from "../app/mod.ts";
import { SysError } from "../errno.ts";
import type { Site } from "../fs/mod.ts";
import { realMachine } from "../machine.ts";
import type { Proc, RequestMeta } from "../proc/mod.ts";
import type { Security } from "../security/mod.ts";
import { createStorage, type Storage } from "../storage/mod.ts";
import { createNet, migrations, type Net, type OsHandler } from "./mod.ts";

export type Serve = (
  request: Request,
  meta: RequestMeta,
) => Response | Promise<Response> | undefined;

export interface Programmed {
  name: string;
  /** Path → body. */
  files?: Record<string, string>;
  serve?: Serve;
  routes?: string[];
  rate?: Manifest["rate"];
  deployed?: boolean;
}

export interface Fixture extends AsyncDisposable {
  readonly net: Net;
  readonly storage: Storage;
  readonly port: number;
  readonly security: Security;
  /** How often proc has been told that the kernel itself answers. */
  answered(): number;
  /** Adds or replaces an app and tells the watchers. */
  put(app: Programmed): App;
  remove(name: string): void;
  /** Claims the machine for a domain; null takes the claim back. */
  own(domain: string | null): void;
  /** Requests for a host, over a connection of fetch's own. */
  get(host: string, path?: string, init?: RequestInit): Promise<Response>;
  /** Another kernel's net over the same database, as after a restart. */
  again(): Net;
}

const asSite = (files: Record<string, string>): Site => ({
  answer: (request, pathname) => {
    const text = files[pathname];
    if (text === undefined || !/^(GET|HEAD)$/.test(request.method)) return null;
    return new Response(text, { headers: { "content-type": "text/plain" } });
  },
  sizeOf: (_request, pathname) => files[pathname]?.length ?? null,
  notFound: () => {
    const text = files["/404.html"];
    return text === undefined ? null : new Response(text, { status: 404 });
  },
});

interface Kept {
  app: App;
  release: Release;
  site: Site;
  serve: Serve | undefined;
}

function makeRelease(app: Programmed, id: string): Release {
  const manifest = Manifest.parse({
    server: app.serve === undefined ? null : "server.ts",
    routes: app.routes ?? [],
    rate: app.rate ?? null,
  });
  const common = {
    number: 1,
    createdAt: 1,
    message: "",
    fileCount: 0,
    sizeBytes: 0,
    egressAgreed: false,
  };
  return { id: `rel_${id}_${crypto.randomUUID()}`, appId: id, manifest, ...common };
}

function makeApps(kept: Map<string, Kept>, watchers: Set<(event: AppEvent) => void>): Apps {
  const find = (nameOrId: string): App | null =>
    [...kept.values()].find(({ app }) => app.name === nameOrId || app.id === nameOrId)?.app ?? null;
  type Asked = "ls" | "find" | "get" | "release" | "removed" | "site" | "watch" | "onReplace";
  const apps: Pick<Apps, Asked> = {
    onReplace: () => undefined,
    ls: () => [...kept.values()].map(({ app }) => app),
    find,
    removed: () => [],
    get: (nameOrId) => {
      const app = find(nameOrId);
      if (app === null) throw new SysError("ENOENT", `no such app: ${nameOrId}`);
      return app;
    },
    release: (id) => {
      const found = [...kept.values()].find(({ release }) => release.id === id);
      if (found === undefined) throw new SysError("ENOENT", `no such release: ${id}`);
      return found.release;
    },
    site: (release) => kept.get(release.appId)?.site ?? asSite({}),
    watch: (told) => {
      watchers.add(told);
      return () => watchers.delete(told);
    },
  };
  return apps as Apps;
}

function makeProc(kept: Map<string, Kept>, answers: () => void): Proc {
  const underWay = new Map<string, number>();
  const count = (id: string, by: number) => void underWay.set(id, (underWay.get(id) ?? 0) + by);
  const proc: Pick<Proc, "fetch" | "underWay" | "answers"> = {
    answers,
    underWay: ({ id }) => underWay.get(id) ?? 0,
    fetch: async (app, request, meta) => {
      for (const name of [...request.headers.keys()]) {
        if (meta.passes?.(name) === false) request.headers.delete(name);
      }
      count(app.id, 1);
      try {
        const answer = kept.get(app.id)?.serve?.(request, meta);
        return (await answer) ?? new Response(null, { status: 204 });
      } finally {
        count(app.id, -1);
      }
    },
  };
  return proc as Proc;
}

/** What the OS handler says of how it was asked. */
const echoOs: OsHandler = (request, context) =>
  Response.json({ os: true, url: request.url, ...context });

export function fixture(
  options: { domain?: string | null; os?: OsHandler; bind?: string; idleS?: number } = {},
): Fixture {
  const machine = realMachine();
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-net-"));
  const storage = createStorage({ machine, dataDir, migrations });
  const kept = new Map<string, Kept>();
  const watchers = new Set<(event: AppEvent) => void>();
  let domain: string | null = options.domain === undefined ? "localhost" : options.domain;
  const owner = () => (domain === null ? null : { domain, email: "o@example.org", claimedAt: 1 });
  const seal = (bytes: Uint8Array) => bytes;
  let own = 0;
  const known: Pick<Security, "owner" | "seal" | "unseal"> = { owner, seal, unseal: seal };
  const security = known as Security;
  const parts = {
    machine,
    storage,
    apps: makeApps(kept, watchers),
    proc: makeProc(kept, () => void own++),
    security,
    ...(options.idleS !== undefined && { idleS: options.idleS }),
  };
  const net = createNet(parts);
  const { port } = net.listen(options.bind ?? "127.0.0.1:0", options.os ?? echoOs);
  return {
    net,
    storage,
    security,
    port,
    answered: () => own,
    put: (programmed) => {
      const id = `app_${programmed.name}`;
      const release = makeRelease(programmed, id);
      const releaseId = programmed.deployed === false ? null : release.id;
      const before = kept.get(id)?.app.createdAt ?? kept.size + 1;
      const app: App = {
        id,
        name: programmed.name,
        createdAt: before,
        releaseId,
        stopped: false,
        removedAt: null,
      };
      kept.set(id, { app, release, site: asSite(programmed.files ?? {}), serve: programmed.serve });
      for (const told of watchers) told({ kind: "switched", app, release });
      return app;
    },
    remove: (name) => {
      const gone = kept.get(`app_${name}`)?.app;
      kept.delete(`app_${name}`);
      if (gone !== undefined) for (const told of watchers) told({ kind: "removed", app: gone });
    },
    own: (to) => {
      domain = to;
    },
    get: (host, path = "/", init = {}) =>
      fetch(`http://127.0.0.1:${port}${path}`, {
        redirect: "manual",
        ...init,
        headers: { ...(init.headers as Record<string, string>), host },
      }),
    again: () => createNet(parts),
    [Symbol.asyncDispose]: async () => {
      await net.close();
      await storage.close();
      rmSync(dataDir, { recursive: true });
    },
  };
}

/** Sends bytes as they are and reads until the server closes. */
export function raw(port: number, text: string): Promise<string> {
  const done = Promise.withResolvers<string>();
  let received = "";
  const socket: Socket = connect(port, "127.0.0.1", () => socket.write(text, "latin1"));
  socket.on("data", (data) => {
    received += data.toString("latin1");
  });
  socket.on("close", () => done.resolve(received));
  socket.on("error", done.reject);
  return done.promise;
}

/** One request head; asks the server to close, so that `raw` ends. */
export function head(line: string, ...headers: string[]): string {
  return `${[line, ...headers, "Connection: close"].join("\r\n")}\r\n\r\n`;
}

/** The status of a raw answer. */
export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
}

/** The body of a raw answer. */
export function bodyOf(answer: string): string {
  return answer.slice(answer.indexOf("\r\n\r\n") + 4);
}
