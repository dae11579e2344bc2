/**
 * A filter for listening sockets: which networks' packets it drops, as a classic BPF program
 * (socket(7), SO_ATTACH_FILTER; the kernel's networking/filter.rst). A packet that asks for a
 * connection from a denied network is dropped by the system itself: no answer, no descriptor, no
 * work of ours. It needs no right beyond having the socket. Pure.
 *
 * Rules: the narrowest network decides; this very machine always comes through.
 */
import type { Ranked } from "../client/mod.ts";
import { filterStepsMax } from "./limits.ts";

/** struct sock_filter: code, jump if true, jump if false, operand. */
export type Step = readonly [code: number, jt: number, jf: number, k: number];

const loadHalf = 0x28;
const loadWord = 0x20;
const and = 0x54;
const jumpEqual = 0x15;
const jump = 0x05;
const answer = 0x06;

/** SKF_AD_OFF + SKF_AD_PROTOCOL, and SKF_NET_OFF: from where the network header begins. */
const protocol = 0xfffff000;
const network = 0xfff00000;
const ipv6 = 0x86dd;

const accept: Step = [answer, 0, 0, 0xffffffff];
const drop: Step = [answer, 0, 0, 0];

/** The program, and whether every rule found a place in it. */
export function filterOf(ranked: readonly Ranked[]): { steps: Step[]; whole: boolean } {
  const four = ranked.filter(({ bytes }) => bytes.length === 4).map(ruleSteps);
  const six = ranked.filter(({ bytes }) => bytes.length === 16).map(ruleSteps);
  const loopback4 = { bytes: Uint8Array.of(127, 0, 0, 0), bits: 8 };
  const loopback6 = {
    bytes: Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? 1 : 0)),
    bits: 128,
  };
  const room = filterStepsMax - 40;
  let used = 0;
  const fitting = (rules: Step[][]) =>
    rules.filter((steps) => {
      used += steps.length;
      return used <= room;
    });
  const part4 = [...test(loopback4, accept), ...fitting(four).flat(), accept];
  const part6 = [...test(loopback6, accept), ...fitting(six).flat(), accept];
  const head: Step[] = [
    [loadHalf, 0, 0, protocol],
    [jumpEqual, 0, 1, ipv6],
    [jump, 0, 0, part4.length],
  ];
  return { steps: [...head, ...part4, ...part6], whole: used <= room };
}

const ruleSteps = (rule: Ranked): Step[] => test(rule, rule.verdict === "deny" ? drop : accept);

/** Steps that end with `then` when the source address is in the network, and go on when not. */
function test({ bytes, bits }: Pick<Ranked, "bytes" | "bits">, then: Step): Step[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const source = network + (bytes.length === 4 ? 12 : 8);
  const words = Array.from({ length: Math.ceil(bits / 32) }, (_, at): Step[] => {
    const inside = Math.min(32, bits - 32 * at);
    const load: Step = [loadWord, 0, 0, source + 4 * at];
    const narrow: Step[] = inside === 32 ? [] : [[and, 0, 0, (-1 << (32 - inside)) >>> 0]];
    return [load, ...narrow, [jumpEqual, 0, 0, view.getUint32(4 * at)]];
  });
  const steps = [...words.flat(), then];
  // Whoever is not in the network goes on behind `then`.
  return steps.map(
    ([code, jt, jf, k], at): Step =>
      code === jumpEqual ? [code, jt, steps.length - at - 1, k] : [code, jt, jf, k],
  );
}
