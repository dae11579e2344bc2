/**
 * A whole kernel for tests: booted on a fresh temporary directory, claimed unless asked not to be,
 * with the dispatcher in hand. It is the real kernel; nothing is replaced.
 *
 *     await using k = await testKernel();
 *     await k.call("storage.kv.set", { app: "blog", key: "a", value: 1 });
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launcher } from "../init/launcher.ts";
import { type Booted, type BootOptions, boot } from "../kernel/boot.ts";
import type { Bytes } from "../kernel/call.ts";
import { type Caller, localOwner } from "../kernel/caller.ts";
import type { Machine } from "../kernel/machine.ts";
import type { NetworkHost } from "../kernel/net/iface/mod.ts";

export interface TestKernel extends Booted, AsyncDisposable {
  readonly dataDir: string;
  /** Makes a call as the local owner, or as `from`; answers its value, lines or bytes. */
  call<T = unknown>(name: string, input?: unknown, options?: TestCallOptions): Promise<T>;
  /** Closes and boots again on the same directory. */
  reboot(): Promise<TestKernel>;
}

export interface TestCallOptions {
  readonly from?: Caller;
  readonly body?: ReadableStream<Uint8Array>;
  readonly signal?: AbortSignal;
}

export interface TestKernelOptions {
  readonly claimed?: boolean;
  readonly dataDir?: string;
  readonly storageLimits?: NonNullable<BootOptions["storageLimits"]>;
  readonly replicaLimits?: NonNullable<BootOptions["replicaLimits"]>;
  readonly machine?: Machine;
  /** As on the appliance; absent: the machine's network is its host's. */
  readonly network?: NetworkHost;
  /** As on the appliance; absent: the machine's system is its host's. */
  readonly system?: NonNullable<BootOptions["system"]>;
  readonly measure?: NonNullable<BootOptions["measure"]>;
  readonly resolve?: NonNullable<BootOptions["resolve"]>;
  /** Processes of the kernels that hand over to this one. */
  readonly beside?: readonly number[];
  /** Who replaces this kernel by another program. */
  readonly slots?: (dataDir: string) => NonNullable<BootOptions["slots"]>;
}

/** The password of a claimed test kernel. */
export const testRootPass = "gravel otter lamp seven";

/** Boots it. `await using` closes it and removes the directory. */
export async function testKernel(options: TestKernelOptions = {}): Promise<TestKernel> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), "fazt-test-"));
  const { storageLimits = {}, replicaLimits = {} } = options;
  const { machine, network, system, measure, resolve, slots, beside } = options;
  const version = "0.0.0-test";
  const booted = await boot({
    dataDir,
    version,
    launcher: launcher(),
    storageLimits,
    replicaLimits,
    ...(machine && { machine }),
    ...(network && { network }),
    ...(system && { system }),
    ...(measure && { measure }),
    ...(resolve && { resolve }),
    ...(beside && { beside }),
    ...(slots && { slots: slots(dataDir) }),
  });
  if (options.claimed !== false && booted.kernel.security.owner() === null) {
    await booted.kernel.security.claimLocally({
      rootPass: testRootPass,
      domain: "localhost",
      email: "owner@example.com",
    });
  }
  const kernel: TestKernel = {
    ...booted,
    dataDir,
    call: async <T>(name: string, input: unknown = {}, { from, ...rest }: TestCallOptions = {}) => {
      const caller = from ?? localOwner("socket");
      const reply = await booted.dispatcher.dispatch({ caller, call: name, input, ...rest });
      if (reply.kind === "json") return reply.value as T;
      return (reply.kind === "lines" ? reply.lines : reply.bytes) as T | Bytes as T;
    },
    reboot: async () => {
      await booted.close();
      return testKernel({ ...options, dataDir });
    },
    [Symbol.asyncDispose]: async () => {
      await booted.close();
      rmSync(dataDir, { recursive: true, force: true, maxRetries: 50 });
    },
  };
  return kernel;
}
