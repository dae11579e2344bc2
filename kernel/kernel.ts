/**
 * The shape of a booted kernel: one narrow interface a domain. Types only: `boot.ts` makes it,
 * `calls.ts` files are handed it, nothing else imports it.
 */
import type { Apps } from "./app/mod.ts";
import type { Driver } from "./driver/mod.ts";
import type { Fs } from "./fs/mod.ts";
import type { Machine } from "./machine.ts";
import type { Interfaces } from "./net/iface/mod.ts";
import type { Net } from "./net/mod.ts";
import type { Channel } from "./proc/channel/mod.ts";
import type { Events } from "./proc/event/mod.ts";
import type { Proc } from "./proc/mod.ts";
import type { Modes } from "./proc/mode/mod.ts";
import type { Power } from "./proc/power/mod.ts";
import type { System } from "./proc/system/mod.ts";
import type { Upgrade } from "./proc/upgrade/mod.ts";
import type { Volumes } from "./proc/volume/mod.ts";
import type { Security } from "./security/mod.ts";
import type { Storage } from "./storage/mod.ts";

export interface Kernel {
  readonly machine: Machine;
  readonly version: string;
  readonly storage: Storage;
  readonly security: Security;
  readonly fs: Fs;
  readonly app: Apps;
  readonly proc: Proc;
  readonly power: Power;
  readonly system: System;
  readonly upgrade: Upgrade;
  readonly channel: Channel;
  readonly mode: Modes;
  readonly net: Net;
  readonly iface: Interfaces;
  readonly event: Events;
  readonly driver: Driver;
  readonly volume: Volumes;
}
