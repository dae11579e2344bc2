/**
 * One operation of the host's file system at a time, each with the longest it may take.
 *
 * The runtime has as many threads for files as the machine has processors; operations that never
 * end (a network disk whose server is gone) would take all of them, and the kernel with them. So
 * there is one lane for everything that is mounted: while an operation is late, whoever else comes
 * is refused at once, and the lane is free again when it has ended after all.
 */
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import { answerMsMax, waitingMax } from "./limits.ts";

interface Job {
  start(): Promise<void>;
  refuse(error: SysError): void;
}

const late = (): SysError =>
  new SysError("EIO", "cannot read from the host: its disk does not answer", {
    hint: "is the disk, or its server, there? fazt fs mounts",
  });

/** The lane of one kernel. */
export class Lane {
  readonly #machine: Machine;
  readonly #waiting: Job[] = [];
  #running = false;
  #late = false;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /**
   * Runs it when its turn comes. EIO when it takes too long; `undo` gets what it then gives after
   * all. Work begins with an await or is a single operation: it never takes a turn within a turn.
   */
  run<T>(work: () => Promise<T>, undo: (late: T) => void = () => undefined): Promise<T> {
    if (this.#late) return Promise.reject(late());
    if (this.#waiting.length >= waitingMax) {
      const state = "too many wait for its disk";
      return Promise.reject(
        new SysError("EAGAIN", `cannot read from the host: ${state}`, { retryAfterMs: 1000 }),
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const start = async (): Promise<void> => {
      let over = false;
      const timer = this.#machine.after(answerMsMax, () => {
        over = true;
        this.#late = true;
        for (const each of [{ refuse: reject }, ...this.#waiting.splice(0)]) each.refuse(late());
      });
      try {
        const result = await work();
        if (over) undo(result);
        else resolve(result);
      } catch (error) {
        reject(error);
      } finally {
        timer.cancel();
        this.#late = false;
      }
    };
    this.#waiting.push({ start, refuse: reject });
    void this.#go();
    return promise;
  }

  async #go(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let job = this.#waiting.shift(); job !== undefined; job = this.#waiting.shift()) {
      await job.start();
    }
    this.#running = false;
  }
}
