/**
 * The machine's interfaces as the kernel keeps them: the configuration in the database, changes on
 * trial until they are confirmed, and the appliance made to follow. The deciding is in `trial.ts`.
 */
import { SysError } from "../../errno.ts";
import type { Machine, Timer } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { addresses, type MachineNames } from "./address.ts";
import { automatic, changed, type Network, type NetworkChange, storedNetwork } from "./config.ts";
import { type FirewallRule, firewallRules, renderFirewall } from "./firewall.ts";
import type { NetworkHost } from "./host.ts";
import { trialMs } from "./limits.ts";
import { links } from "./link.ts";
import { renderNetwork } from "./render.ts";
import { stepTrial, type TrialAction, type TrialEvent, type TrialState } from "./trial.ts";

/** A change that waits for its confirmation. */
export interface Trial {
  readonly network: Network;
  /** Unix ms; then what was before comes back. */
  readonly untilMs: number;
}

export interface Interfaces {
  /** Whether this machine's network is ours to set: only on the appliance. */
  readonly owned: boolean;
  /** Its names and addresses now. */
  names(): MachineNames;
  /** What is confirmed. */
  network(): Network;
  trial(): Trial | null;
  /** Puts a change on trial. ENOSYS (not the appliance), ENOENT (no such interface), EIO. */
  set(change: NetworkChange): Promise<Trial>;
  /** Keeps what is on trial. ENOSYS, ENOENT (nothing is). */
  confirm(): Promise<Network>;
  /** First boot's configuration, at once and for good; off the appliance it is only kept. */
  provision(network: Network): Promise<void>;
  /** What may come in. ENOSYS off the appliance. */
  firewall(): FirewallRule[];
  /** Resolves when what was begun has been applied, or has failed and was logged. */
  settled(): Promise<void>;
  close(): void;
}

export interface InterfacesOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  /** Null: this machine's network belongs to its host. */
  readonly host: NetworkHost | null;
}

interface Row {
  readonly confirmed: string;
  readonly trial: string | null;
  readonly trial_until: number | null;
}

function readState(storage: Storage): TrialState {
  const row = storage.read.get<Row>(
    "SELECT confirmed, trial, trial_until FROM net_iface WHERE id = 1",
  );
  const { trial = null, trial_until: until = null } = row ?? {};
  return {
    confirmed: row === null ? automatic : storedNetwork(row.confirmed),
    trial:
      trial === null || until === null ? null : { network: storedNetwork(trial), untilMs: until },
  };
}

class KeptInterfaces implements Interfaces {
  readonly #options: InterfacesOptions;
  #state: TrialState;
  #deadline: Timer | null = null;
  #last: Promise<void> = Promise.resolve();

  constructor(options: InterfacesOptions) {
    this.#options = options;
    this.#state = readState(options.storage);
    // Not awaited: the machine boots without a network, and a failure is logged.
    if (this.owned) void this.#happen({ kind: "start" }).catch(this.#tell("start the network"));
  }

  get owned(): boolean {
    return this.#options.host !== null;
  }

  names(): MachineNames {
    return addresses(this.owned && this.#current().mdns);
  }

  network(): Network {
    return this.#state.confirmed;
  }

  trial(): Trial | null {
    return this.#state.trial;
  }

  async set(change: NetworkChange): Promise<Trial> {
    this.#assertOwned("set the network");
    const name = change.link?.name ?? "*";
    const there = links();
    const known = there.map((link) => link.name);
    if (name !== "*" && !known.includes(name)) {
      throw new SysError("ENOENT", `cannot set "${name}": no such interface`, {
        hint: `there is ${known.join(", ") || "none"}; * means all without settings of their own`,
      });
    }
    const mac = there.find((link) => link.name === name)?.mac ?? null;
    const network = changed(this.#current(), change, mac);
    const untilMs = this.#options.machine.now() + trialMs;
    try {
      await this.#happen({ kind: "set", network, untilMs });
    } catch (error) {
      await this.#happen({ kind: "failed" }).catch(this.#tell("go back to the old network"));
      throw error;
    }
    return { network, untilMs };
  }

  async confirm(): Promise<Network> {
    this.#assertOwned("confirm a change of the network");
    if (this.#state.trial === null) {
      throw new SysError("ENOENT", "cannot confirm a change of the network: none is on trial", {
        hint: "a change that is not confirmed in time is taken back: set it again",
      });
    }
    await this.#happen({ kind: "confirm" });
    return this.#state.confirmed;
  }

  provision(network: Network): Promise<void> {
    return this.#happen({ kind: "provision", network });
  }

  firewall(): FirewallRule[] {
    this.#assertOwned("list the firewall");
    return firewallRules(this.#current());
  }

  settled(): Promise<void> {
    return this.#last;
  }

  close(): void {
    this.#deadline?.cancel();
  }

  #current(): Network {
    return this.#state.trial?.network ?? this.#state.confirmed;
  }

  /** Events one after another: each sees what the one before has left. */
  #happen(event: TrialEvent): Promise<void> {
    const next = this.#last.then(async () => {
      const before = this.#state;
      const [state, actions] = stepTrial(before, event);
      this.#state = state;
      try {
        for (const action of actions) await this.#perform(action, state);
      } catch (error) {
        // What could not be put down is not confirmed: its deadline still holds.
        if (event.kind === "confirm") this.#state = before;
        throw error;
      }
    });
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #perform(action: TrialAction, state: TrialState): Promise<void> {
    switch (action.kind) {
      case "save":
        return await this.#save(state);
      case "apply":
        return await this.#apply(action.network);
      case "arm":
        return this.#arm(action.untilMs);
      case "disarm":
        this.#deadline?.cancel();
        this.#deadline = null;
    }
  }

  async #save({ confirmed, trial }: TrialState): Promise<void> {
    await this.#options.storage.write(
      (tx) =>
        tx.run(
          `INSERT INTO net_iface (id, confirmed, trial, trial_until) VALUES (1, ?, ?, ?)
           ON CONFLICT (id) DO UPDATE SET confirmed = excluded.confirmed, trial = excluded.trial,
             trial_until = excluded.trial_until`,
          JSON.stringify(confirmed),
          trial === null ? null : JSON.stringify(trial.network),
          trial?.untilMs ?? null,
        ),
      // On a full disk a machine must still find its way back into the network.
      { essential: true },
    );
  }

  async #apply(network: Network): Promise<void> {
    await this.#options.host?.apply({
      files: renderNetwork(network),
      hostname: network.hostname,
      ruleset: renderFirewall(firewallRules(network)),
    });
  }

  #arm(untilMs: number): void {
    const { machine } = this.#options;
    this.#deadline?.cancel();
    const delayMs = Math.min(trialMs, Math.max(0, untilMs - machine.now()));
    this.#deadline = machine.after(delayMs, () => {
      this.#log("warn", "network: the change was not confirmed in time: what was before is back");
      void this.#happen({ kind: "deadline" }).catch(this.#tell("go back to the old network"));
    });
  }

  #tell(what: string): (error: unknown) => void {
    return (error) => this.#log("error", `network: cannot ${what}: ${String(error)}`);
  }

  #log(level: "warn" | "error", text: string): void {
    const { logs } = this.#options.storage;
    logs.append({ app: "kernel", appId: null, releaseId: null, level, text });
  }

  #assertOwned(what: string): void {
    if (this.owned) return;
    throw new SysError("ENOSYS", `cannot ${what}: this machine's network belongs to its host`, {
      hint: "set it with the host's own tools; fazt net iface ls shows what there is",
    });
  }
}

/** The interfaces of this machine; on the appliance what is confirmed is applied at once. */
export function createInterfaces(options: InterfacesOptions): Interfaces {
  return new KeptInterfaces(options);
}
