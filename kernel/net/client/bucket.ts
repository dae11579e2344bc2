/**
 * Token buckets, as the generic cell rate algorithm (ITU-T I.371) keeps them: one number each, the
 * time at which the bucket would be full again.
 *
 * Rules: what is decided is pure; what is remembered is bounded, and of whoever is forgotten the
 * bucket is full.
 */
import type { Machine } from "../../machine.ts";
import { bucketsMax } from "./limits.ts";

/** How fast a bucket fills, and how much it holds. */
export interface Bucket {
  /** Milliseconds for one token. */
  readonly intervalMs: number;
  /** Tokens when it is full, at least 1. */
  readonly burst: number;
}

/** What comes of one request. */
export interface Draw {
  /** When the bucket will be full, monotonic ms; null: there is no token, nothing is taken. */
  readonly fullAtMs: number | null;
  /** Tokens left, whole ones. */
  readonly remaining: number;
  /** Until there is a token again (refused), or until it is full (taken), ms. */
  readonly waitMs: number;
}

/** Takes one token out of the bucket that is full at `fullAtMs`. Pure. */
export function draw(fullAtMs: number, nowMs: number, { intervalMs, burst }: Bucket): Draw {
  const from = Math.max(fullAtMs, nowMs);
  const behind = from - nowMs;
  const most = (burst - 1) * intervalMs;
  // A request a hair early by rounding is on time.
  if (behind > most + 1e-6) return { fullAtMs: null, remaining: 0, waitMs: behind - most };
  // Not by way of the sum, which rounds: a whole token would be a hair less than one.
  const waitMs = behind + intervalMs;
  const remaining = Math.max(0, Math.floor(burst - waitMs / intervalMs + 1e-6));
  return { fullAtMs: from + intervalMs, remaining, waitMs };
}

export interface Buckets {
  /** What one more request would get, and how to take it. */
  look(key: string, bucket: Bucket): Draw;
  take(key: string, fullAtMs: number): void;
  size(): number;
}

export function createBuckets(machine: Machine): Buckets {
  const kept = new Map<string, number>();
  return {
    look: (key, bucket) => draw(kept.get(key) ?? 0, machine.monotonicMs(), bucket),
    take: (key, fullAtMs) => {
      // Moves it to the end: the first one is the one seen longest ago.
      kept.delete(key);
      kept.set(key, fullAtMs);
      const oldest = kept.size > bucketsMax ? kept.keys().next().value : undefined;
      if (oldest !== undefined) kept.delete(oldest);
    },
    size: () => kept.size,
  };
}
