/**
 * A cache bounded by bytes. A hit costs one assignment: recency is kept by second chance (a slot
 * that was hit since the hand last passed is spared once), which is LRU as far as it matters here.
 *
 * Rules: `slot.value` is null as soon as the slot is evicted, so whoever keeps a slot never keeps
 * its bytes; the sum of sizes never exceeds the limit; a value over the limit is not kept.
 */

/** A place in the cache. Holders set `hit` when they use the value. */
export interface Slot<T> {
  value: T | null;
  hit: boolean;
}

interface Kept<T> extends Slot<T> {
  readonly sizeBytes: number;
}

export interface Lru<T> {
  get(key: string): Slot<T> | null;
  /** Keeps a value, evicting others; the slot's value is null at once when it cannot be kept. */
  set(key: string, value: T, sizeBytes: number): Slot<T>;
  bytes(): number;
}

/** An empty cache of at most `bytesMax`. */
export function createLru<T>(bytesMax: number): Lru<T> {
  const slots = new Map<string, Kept<T>>();
  let total = 0;

  const drop = (key: string, slot: Kept<T>): void => {
    slots.delete(key);
    slot.value = null;
    total -= slot.sizeBytes;
  };

  const makeRoom = (sizeBytes: number): void => {
    while (total + sizeBytes > bytesMax) {
      const oldest = slots.entries().next();
      if (oldest.done) return;
      const [key, slot] = oldest.value;
      if (!slot.hit) {
        drop(key, slot);
        continue;
      }
      slot.hit = false;
      slots.delete(key);
      slots.set(key, slot);
    }
  };

  return {
    get: (key) => slots.get(key) ?? null,
    set(key, value, sizeBytes) {
      const before = slots.get(key);
      if (before !== undefined) drop(key, before);
      if (sizeBytes > bytesMax) return { value: null, hit: false };
      makeRoom(sizeBytes);
      const slot: Kept<T> = { value, hit: false, sizeBytes };
      slots.set(key, slot);
      total += sizeBytes;
      return slot;
    },
    bytes: () => total,
  };
}

/** A map that forgets its oldest entry when it is full. */
export function remember<T>(map: Map<string, T>, entry: [string, T], max: number): void {
  if (map.size >= max) {
    const oldest = map.keys().next();
    if (!oldest.done) map.delete(oldest.value);
  }
  map.set(entry[0], entry[1]);
}
