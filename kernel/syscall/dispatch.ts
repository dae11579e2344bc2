/**
 * The one dispatcher: every system call of every bridge passes here, and is authorised here alone.
 *
 * Order, never changed: find the call (ENOSYS) → surface (an app sees only the calls apps hold) →
 * parse the input (EINVAL, naming the field) → check the claim and the capability (ENOKEY,
 * EACCES) → the caller's limits (EAGAIN) → run → check the reply (ours) → audit → map the error.
 *
 * Audited: every refusal of rights, and every change made by a person. What an app writes into its
 * own data is not (it may be thousands a second); what an app is refused is.
 * An errno the call did not declare becomes EIO with an incident id, and is logged as our defect.
 */
import type { z } from "zod";
import { type Bytes, type Call, type CallTree, type Invocation, isCall } from "../call.ts";
import { allows, type Caller } from "../caller.ts";
import { type Errno, SysError } from "../errno.ts";
import type { Kernel } from "../kernel.ts";
import type { AppCall, AppReply } from "../proc/mod.ts";
import type { LogLevel } from "../storage/mod.ts";
import { Changes } from "./change.ts";
import { explain } from "./explain.ts";
import { appCallsInFlightMax, auditListItemsMax, auditSubjectCharsMax } from "./limits.ts";

/** A call as a bridge hands it over. */
export interface CallRequest {
  readonly caller: Caller;
  /** Dotted name: `fs.read`. */
  readonly call: string;
  readonly input?: unknown;
  readonly body?: ReadableStream<Uint8Array> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A finished call: the reply, by its kind. */
export type Reply =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "lines"; readonly lines: AsyncIterable<unknown> }
  | { readonly kind: "bytes"; readonly bytes: Bytes };

/** How often a call was made and how long it took, in all. */
export interface CallStats {
  readonly name: string;
  readonly count: number;
  readonly errors: number;
  readonly totalMs: number;
}

export interface Dispatcher {
  /** Every call by its dotted name, in the table's order. */
  readonly calls: ReadonlyMap<string, Call>;
  /** Makes a call. Throws SysError and nothing else. */
  dispatch(request: CallRequest): Promise<Reply>;
  /** Makes a call for an app, over the socket of its process. */
  answer(call: AppCall): Promise<AppReply>;
  /** What others than apps are changing, and that nobody may for a while. */
  readonly changes: Pick<Changes, "freeze" | "thaw" | "underWay">;
  stats(): CallStats[];
}

/** Errnos any call may answer without declaring them: the dispatcher's own, and a full disk. */
const universal: ReadonlySet<Errno> = new Set([
  "EINVAL",
  "EACCES",
  "EPERM",
  "ENOKEY",
  "EAGAIN",
  "ENOSPC",
]);

/** The tree as a flat map: `{ fs: { read } }` → `fs.read`. */
export function flatten(tree: CallTree, prefix = ""): Map<string, Call> {
  const calls = new Map<string, Call>();
  for (const [key, node] of Object.entries(tree)) {
    const name = prefix === "" ? key : `${prefix}.${key}`;
    if (isCall(node)) calls.set(name, node);
    else for (const [inner, found] of flatten(node, name)) calls.set(inner, found);
  }
  return calls;
}

/** Whether this caller may make this call on this machine. Pure. */
export function authorise(
  caller: Caller,
  call: Pick<Call, "needs" | "effect" | "surfaces">,
  claimed: boolean,
): SysError | null {
  if (caller.kind === "app" && !call.surfaces.includes("app")) {
    return new SysError("EPERM", "apps do not hold this call", {
      hint: "deploy and administer from the owner's side, with the fazt command",
    });
  }
  if (call.needs === "public") return null;
  if (!claimed && !(caller.via === "boot" || (caller.kind === "owner" && call.effect === "read"))) {
    return new SysError("EACCES", "this machine is not claimed yet", {
      hint: "open its address in a browser and enter the setup code its console shows",
    });
  }
  if (allows(caller.grants, call.needs)) return null;
  if (caller.kind === "anonymous") {
    return new SysError("ENOKEY", "this call needs credentials", {
      hint: "log in, or send a token: Authorization: Bearer fazt_…",
    });
  }
  return new SysError("EACCES", `the caller lacks the capability "${call.needs}"`, {
    hint: "use a token whose scope holds it",
  });
}

/** The input as the audit log keeps it: without secrets, long lists counted, cut. */
export function auditSubject(call: Pick<Call, "secrets">, input: unknown): string {
  const text = JSON.stringify(input, (key, value: unknown) => {
    if (call.secrets.includes(key)) return "•••";
    if (Array.isArray(value) && value.length > auditListItemsMax) return `${value.length} items`;
    return value;
  });
  return (text ?? "").slice(0, auditSubjectCharsMax);
}

/** Body and signal are made only for calls that look at them. */
function invocation(request: CallRequest): Invocation {
  return {
    caller: request.caller,
    get body() {
      return request.body ?? new Blob([]).stream();
    },
    get signal() {
      return request.signal ?? new AbortController().signal;
    },
  };
}

/** One call being made, as its steps hand it on. */
interface Attempt {
  readonly request: CallRequest;
  readonly caller: Caller;
  readonly name: string;
  readonly call: Call;
}

/** Counts calls under way by app; beyond the limit EAGAIN. */
class InFlight {
  readonly #counts = new Map<string, number>();

  enter(appId: string): void {
    const count = this.#counts.get(appId) ?? 0;
    if (count >= appCallsInFlightMax) {
      throw new SysError("EAGAIN", `too many calls at once: ${count}`, {
        hint: "await earlier calls first",
        retryAfterMs: 100,
      });
    }
    this.#counts.set(appId, count + 1);
  }

  leave(appId: string): void {
    const left = (this.#counts.get(appId) ?? 1) - 1;
    if (left === 0) this.#counts.delete(appId);
    else this.#counts.set(appId, left);
  }
}

class TableDispatcher implements Dispatcher {
  readonly calls: ReadonlyMap<string, Call>;
  readonly changes = new Changes();
  readonly #kernel: Kernel;
  readonly #inputs: ReadonlyMap<string, z.ZodType>;
  readonly #stats = new Map<string, { count: number; errors: number; totalMs: number }>();
  readonly #inFlight = new InFlight();

  constructor(kernel: Kernel, tree: CallTree) {
    this.#kernel = kernel;
    this.calls = flatten(tree);
    this.#inputs = new Map([...this.calls].map(([name, call]) => [name, call.input.strict()]));
  }

  async dispatch(request: CallRequest): Promise<Reply> {
    const name = request.call;
    const call = this.calls.get(name);
    if (call === undefined) {
      throw new SysError("ENOSYS", `no such call: ${name}`, { hint: "fazt man lists them all" });
    }
    const startedAt = this.#kernel.machine.monotonicMs();
    const row = this.#stats.get(name) ?? { count: 0, errors: 0, totalMs: 0 };
    this.#stats.set(name, row);
    row.count++;
    try {
      return await this.#perform({ request, caller: request.caller, name, call });
    } catch (error) {
      row.errors++;
      throw error;
    } finally {
      row.totalMs += this.#kernel.machine.monotonicMs() - startedAt;
    }
  }

  async answer(call: AppCall): Promise<AppReply> {
    const reply = await this.dispatch(call);
    return reply.kind === "bytes" ? { kind: "bytes", bytes: reply.bytes } : reply;
  }

  stats(): CallStats[] {
    return [...this.#stats].map(([name, row]) => ({ name, ...row }));
  }

  async #perform(at: Attempt): Promise<Reply> {
    const { request, caller, name, call } = at;
    const parsed = (this.#inputs.get(name) ?? call.input).safeParse(request.input ?? {});
    const refused = authorise(caller, call, this.#kernel.security.owner() !== null);
    if (refused !== null) {
      await this.#audit(at, {}, refused.code);
      throw refused;
    }
    if (!parsed.success) {
      const command = call.surfaces.includes("cli");
      const fields = Object.keys(call.input.shape);
      throw explain(parsed.error, { call: name, fields, command });
    }
    const audited = call.audited && caller.kind !== "app";
    const changes = call.effect !== "read" && caller.kind !== "app";
    try {
      const perform = () => this.#run(at, parsed.data as never);
      const reply = await (changes ? this.changes.run(name, perform) : perform());
      if (audited) await this.#record(at, parsed.data, null);
      return reply;
    } catch (error) {
      const mapped = this.#mapError(at, error);
      if (audited) await this.#record(at, parsed.data, mapped.code);
      throw mapped;
    }
  }

  async #run(at: Attempt, input: never): Promise<Reply> {
    const { request, caller, call } = at;
    if (caller.appId !== null) this.#inFlight.enter(caller.appId);
    try {
      return this.#checked(at, await call.run(this.#kernel, invocation(request), input));
    } finally {
      if (caller.appId !== null) this.#inFlight.leave(caller.appId);
    }
  }

  /** The reply must be what was declared; if it is not, that is our defect. */
  #checked({ name, call }: Attempt, value: unknown): Reply {
    if (call.reply === "bytes") return { kind: "bytes", bytes: value as Bytes };
    if (call.reply === "lines") return { kind: "lines", lines: value as AsyncIterable<unknown> };
    const result = call.output.safeParse(value);
    if (result.success) return { kind: "json", value: result.data };
    throw this.#incident(name, `reply does not match its schema: ${result.error.message}`);
  }

  #mapError({ name, call }: Attempt, error: unknown): SysError {
    if (!(error instanceof SysError)) return this.#incident(name, error);
    const known = call.errors.includes(error.code) || universal.has(error.code);
    return known || error.code === "EIO" ? error : this.#incident(name, error);
  }

  #log(level: LogLevel, text: string): void {
    const kernel = { app: "kernel", appId: null, releaseId: null } as const;
    this.#kernel.storage.logs.append({ ...kernel, level, text });
  }

  /** Our defect: the caller learns an incident id, the log learns the rest. */
  #incident(name: string, what: unknown): SysError {
    const id = this.#kernel.machine.id("inc");
    const detail = what instanceof Error ? (what.stack ?? what.message) : String(what);
    this.#log("error", `${name}: incident ${id}: ${detail}`);
    return new SysError("EIO", `cannot finish "${name}": internal error, incident ${id}`, {
      hint: `fazt proc logs kernel --grep ${id}`,
      cause: what,
    });
  }

  /** A change that cannot be written down fails; a read does not: a full disk is to be backed up. */
  async #record(at: Attempt, input: unknown, code: Errno | null): Promise<void> {
    const written = this.#audit(at, input, code);
    if (at.call.effect !== "read") return written;
    await written.catch((error: unknown) => {
      this.#log("warn", `${at.name}: not in the audit log: ${error}`);
    });
  }

  async #audit({ caller, name, call }: Attempt, input: unknown, code: Errno | null): Promise<void> {
    await this.#kernel.security.audit.add({
      call: name,
      outcome: code === null ? "ok" : code === "EIO" ? "failed" : "refused",
      code,
      callerKind: caller.kind,
      via: caller.via,
      userId: caller.userId,
      appId: caller.appId,
      address: caller.address,
      subject: auditSubject(call, input),
    });
  }
}

/** The dispatcher over a table of calls. */
export function createDispatcher(kernel: Kernel, tree: CallTree): Dispatcher {
  return new TableDispatcher(kernel, tree);
}
