/**
 * The event domain's interface: what happens in apps without a request.
 *
 * Rules: everything accepted is durable, and is done after a restart of the kernel; work is done
 * at least once; who emits is decided by the caller's channel, so that an event of `app:blog.` has
 * come from blog.
 */
import type { App } from "../../app/mod.ts";
import type { Caller } from "../../caller.ts";

/** An event as it is listed. */
export interface EventInfo {
  readonly id: number;
  readonly name: string;
  readonly at: number;
  readonly payload: unknown;
  /** Deliveries that wait, and that were given up after their retries. */
  readonly waiting: number;
  readonly failed: number;
}

/** One line of the timetable: a cron entry or a one-shot. */
export interface JobInfo {
  readonly app: string;
  readonly kind: "cron" | "once";
  /** The id of a one-shot; null for cron. */
  readonly id: string | null;
  readonly schedule: string | null;
  readonly zone: string | null;
  readonly path: string;
  readonly dueAt: number;
  readonly lastAt: number | null;
  readonly lastStatus: number | null;
  readonly reason: string | null;
}

export interface OneShot {
  readonly path: string;
  readonly at?: number | undefined;
  readonly afterMs?: number | undefined;
  readonly id?: string | undefined;
  readonly payload?: unknown;
}

export interface Events {
  /**
   * Emits an event of the calling app. EPERM (another's namespace), EFBIG (payload), EAGAIN (over
   * 100 a second), EDQUOT (too many that nobody has taken yet).
   */
  emit(from: Caller, event: { name: string; payload?: unknown }): Promise<{ id: number }>;
  /** Subscribes the calling app. EACCES (no permission for that app's events), EDQUOT. */
  on(from: Caller, name: string): Promise<{ name: string }>;
  /** Ends a subscription of the calling app; false when there was none. */
  off(from: Caller, name: string): Promise<boolean>;
  /** Sets a one-shot; one of the same id is replaced. EINVAL (time), EFBIG, EDQUOT. */
  schedule(from: Caller, what: OneShot): Promise<{ id: string; at: number }>;
  /** False when it has been done, or never was. */
  cancel(from: Caller, id: string): Promise<boolean>;
  /** Newest first. */
  ls(query: { app?: App | undefined; limit: number }): EventInfo[];
  /** By time. */
  jobs(app?: App): JobInfo[];
  /** Tells subscribers of something of the system's; nothing is kept when nobody listens. */
  tell(name: string, payload: unknown, about?: App): Promise<void>;
  /** Looks for what is due: another kernel may have left it. */
  wake(): void;
  /** Starts nothing any more; what is under way ends with its process. */
  close(): void;
}
