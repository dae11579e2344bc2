/**
 * The proc domain's interface: apps as supervised processes.
 *
 * Rules: a process is a child with one socket to the kernel and no other way out; its identity is
 * that socket; whether to start, stop, back off or give up is decided by the pure state machine
 * in `state.ts`; a request to a sleeping app waits, bounded, while it starts.
 */

import type { App, Release } from "../app/mod.ts";
import type { Bytes } from "../call.ts";
import type { Caller } from "../caller.ts";
import type { Enclosed } from "../enclosed.ts";
import type { Distribution } from "../histogram.ts";
import type { VolumeCommand } from "./sandbox/mod.ts";
import type { State } from "./state.ts";

export interface ProcStatus {
  readonly name: string;
  readonly id: string;
  /** `static` has no process at all. */
  readonly state: State | "static";
  readonly pid: number | null;
  readonly release: string | null;
  readonly restarts: number;
  readonly rssBytes: number;
  readonly cpuMs: number;
  readonly requests: number;
  readonly uptimeMs: number;
  /** Why it is in this state, one sentence, or null. */
  readonly reason: string | null;
}

/** What an app has used since the kernel started, all its processes together. */
export interface AppUsage {
  readonly status: ProcStatus;
  /** Memory its process holds alone, without pages of files. */
  readonly ownBytes: number;
  /** Processor time of all its processes, as last looked at, milliseconds. */
  readonly totalCpuMs: number;
  /** From a request's way to the process to the head of its reply. */
  readonly latency: Distribution;
}

/** An app's process has become ready, or has crashed too often and stays down. */
export interface ProcEvent {
  readonly app: App;
  readonly state: "running" | "crashed";
  readonly reason: string | null;
}

/** What the kernel knows of a request beside the request itself. */
export interface RequestMeta {
  readonly id: string;
  readonly address: string | null;
  readonly userId: string | null;
  /** Upgrades the client's connection once the app has agreed. */
  readonly upgrade: ((options: { headers: Headers; socket: SocketPipe }) => boolean) | null;
  /** Headers that only the kernel can set (`x-fazt-…`): what the request is, when it is its own. */
  readonly marks?: Readonly<Record<string, string>>;
  /** Whether a client's header of this name (lower case) is handed on; without it, all are. */
  readonly passes?: (name: string) => boolean;
  /** Told when the reply is a stream, which may take as long as it likes. */
  readonly streams?: () => void;
  /** Told of the app's own reply: it has its `x-request-id`, and a body of so many bytes. */
  readonly replied?: (bodyBytes: number | null) => void;
}

/** One accepted WebSocket, seen from both ends; messages keep their kind and order. */
export interface SocketPipe {
  /** Client → app. */
  message(data: string | Uint8Array): void;
  close(code: number, reason: string): void;
  drained(): void;
  /** App → client; set by the listener when the connection is open. */
  attach(client: {
    send(data: string | Uint8Array): boolean;
    close(code: number, reason: string): void;
  }): void;
}

/** A call made by an app over its socket; given by boot, which knows the dispatcher. */
export interface AppCall {
  readonly caller: Caller;
  readonly call: string;
  readonly input: unknown;
  readonly body: ReadableStream<Uint8Array>;
  readonly signal: AbortSignal;
}

/** What came of it: one value, a stream of lines, or bytes. Errors are thrown as SysError. */
export type AppReply =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "lines"; readonly lines: AsyncIterable<unknown> }
  | { readonly kind: "bytes"; readonly bytes: Pick<Bytes, "stream" | "whole"> };

/** How app processes are isolated on this host. */
export interface Isolation {
  readonly kind: "bubblewrap" | "none";
  readonly detail: string;
  /** What of the full sandbox is missing, in words. */
  readonly lacks: readonly string[];
}

export interface Proc {
  ls(): ProcStatus[];
  status(app: App): ProcStatus;
  /** The same with what was measured, for every app that is not static. */
  usage(): AppUsage[];
  /** The last lines its process printed, or those of the one that ended last. */
  tail(app: App): readonly string[];
  /**
   * Passes a request to the app's current release, starting it when it sleeps. Answers 502 with an
   * incident id when the app breaks, 503 when it is stopped or crashed, 504 when it is too slow.
   */
  fetch(app: App, request: Request, meta: RequestMeta): Promise<Response>;
  /**
   * The same for the kernel's own requests. Rejects with NotRunning when the app is down and has
   * not been asked, with AppFailure when it broke or was too slow.
   */
  ask(app: App, request: Request, meta: RequestMeta): Promise<Response>;
  /** Somebody is answered by the kernel itself: until a moment later apps' bodies take turns. */
  answers(nowMs: number): void;
  /** Requests and WebSockets of an app that are not over, those that wait for its start included. */
  underWay(app: App): number;
  /** Calls `told` when an app's process has become ready or stays down; the answer stops it. */
  watch(told: (event: ProcEvent) => void): () => void;
  /** Starts a release beside the running one and waits until it is ready. ENOEXEC with the log. */
  prove(app: App, release: Release): Promise<void>;
  startApp(app: App): Promise<ProcStatus>;
  /** Stops it until it is started; `reason` is what its status says, by default that the owner did. */
  stop(app: App, reason?: string): Promise<ProcStatus>;
  restart(app: App): Promise<ProcStatus>;
  /** SIGKILL, now. ESRCH when nothing runs. */
  kill(app: App): Promise<ProcStatus>;
  /** While true every process is put to sleep and none is started; requests are refused. */
  hold(held: boolean): void;
  /**
   * How to start the process beside an app, in the app's sandbox, on its volume or on a copy of it
   * in this directory. EPERM where there is none.
   */
  encloseVolume(appId: string, copy?: string): VolumeCommand;
  /**
   * How to start a process that reads a stranger's files in `dir`, and with `fileBytes` may write
   * files of so many bytes there. EPERM as above.
   */
  encloseReader(dir: string, life: string, fileBytes?: number): Enclosed;
  /** How app processes are isolated here, in one sentence, and whether that is the full sandbox. */
  sandbox(): Isolation;
  /** The same, where it is known already; asking costs nothing. */
  knownSandbox(): Isolation | null;
  /** Ends every process in order; resolves when all are gone. */
  close(): Promise<void>;
}
