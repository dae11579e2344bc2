/**
 * Echoes to a host, one a second, each with its round trip.
 */
import { lookup } from "node:dns/promises";
import { SysError } from "../../errno.ts";
import { type Machine, passed } from "../../machine.ts";
import { type EchoSocket, echoReply, echoRequest, type Family, openEcho } from "./icmp.ts";
import { echoEveryMs, echoLookMs, echoWaitMs } from "./limits.ts";

export interface Echo {
  readonly seq: number;
  readonly address: string;
  /** The round trip, milliseconds; null: no answer. */
  readonly ms: number | null;
}

async function addressOf(host: string): Promise<{ address: string; family: Family }> {
  try {
    const { address, family } = await lookup(host);
    return { address, family: family === 6 ? 6 : 4 };
  } catch (cause) {
    throw new SysError("ENOENT", `cannot ping "${host}": no such name`, {
      hint: "fazt net dns says what the name servers answer",
      cause,
    });
  }
}

interface Round {
  readonly socket: EchoSocket;
  readonly family: Family;
  readonly mark: { readonly id: number; readonly seq: number };
}

/** One echo and its round trip; null when none comes in time. */
async function echo(machine: Machine, round: Round, signal: AbortSignal): Promise<number | null> {
  const { socket, family, mark } = round;
  const startMs = machine.monotonicMs();
  if (!socket.send(echoRequest(family, mark))) return null;
  while (!signal.aborted && machine.monotonicMs() - startMs < echoWaitMs) {
    const packet = socket.receive();
    const found = packet === null ? null : echoReply(family, packet);
    const mine = found?.seq === mark.seq && (!socket.shared || found.id === mark.id);
    if (mine) return Math.round((machine.monotonicMs() - startMs) * 100) / 100;
    if (packet === null) await passed(machine, echoLookMs, signal);
  }
  return null;
}

/** Pings a host. ENOENT (no such name), EPERM (no right to the socket). */
export async function* ping(
  machine: Machine,
  { host, count }: { readonly host: string; readonly count: number },
  signal: AbortSignal,
): AsyncGenerator<Echo> {
  const { address, family } = await addressOf(host);
  const socket = openEcho(family, address);
  const [high = 0, low = 0] = machine.random(2);
  try {
    for (let seq = 1; seq <= count && !signal.aborted; seq++) {
      const startMs = machine.monotonicMs();
      const mark = { id: (high << 8) | low, seq: seq & 0xffff };
      yield { seq, address, ms: await echo(machine, { socket, family, mark }, signal) };
      const left = echoEveryMs - (machine.monotonicMs() - startMs);
      if (seq < count && left > 0) await passed(machine, left, signal);
    }
  } finally {
    socket.close();
  }
}
