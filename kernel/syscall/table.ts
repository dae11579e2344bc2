/**
 * The whole system on one page: every call, by domain. What is not in this table does not exist;
 * names are append-only, and a retired call stays and answers ENOSYS.
 */
import { app } from "../app/calls.ts";
import type { Call, CallTree } from "../call.ts";
import { driver } from "../driver/calls.ts";
import { fs } from "../fs/calls.ts";
import { net } from "../net/calls.ts";
import { firewall, iface } from "../net/iface/calls.ts";
import { probe } from "../net/probe/calls.ts";
import { proc } from "../proc/calls.ts";
import { channel } from "../proc/channel/calls.ts";
import { event } from "../proc/event/calls.ts";
import { power } from "../proc/power/calls.ts";
import { support } from "../proc/support/calls.ts";
import { system } from "../proc/system/calls.ts";
import { sql } from "../proc/volume/calls.ts";
import { security } from "../security/calls.ts";
import { storage } from "../storage/calls.ts";

export const table = {
  proc: { ...proc, ...event, ...power, ...system, ...channel, support },
  app,
  fs,
  net: { ...net, iface, firewall, ...probe },
  storage: { ...storage, sql },
  security,
  driver,
} satisfies CallTree;

/** What a holder of the table has in hand: its shape, as methods. */
export type Client<T> = {
  readonly [K in keyof T]: T[K] extends Call<infer I, infer O, infer R>
    ? ClientMethod<I, O, R>
    : T[K] extends CallTree
      ? Client<T[K]>
      : never;
};

type ClientMethod<I, O, R> = I extends { _zod: { input: infer In } }
  ? O extends { _zod: { output: infer Out } }
    ? (
        input: In,
        body?: Bun.BodyInit,
      ) => R extends "json"
        ? Promise<Out>
        : R extends "lines"
          ? AsyncIterable<Out>
          : Promise<Response>
    : never
  : never;

/** The system's own table, as a client sees it. */
export type KernelClient = Client<typeof table>;
