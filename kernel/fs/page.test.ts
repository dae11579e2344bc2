/** The byte-bounded cache of ready bodies. */
import { describe, expect, test } from "bun:test";
import { createLru, remember } from "./page.ts";

describe("lru", () => {
  test("never holds more bytes than its limit and empties the slots it evicts", () => {
    const cache = createLru<string>(100);
    const slots = Array.from({ length: 50 }, (_, i) => cache.set(`k${i}`, `v${i}`, 7));
    expect(cache.bytes()).toBe(98);
    expect(slots.filter((slot) => slot.value !== null)).toHaveLength(14);
    expect(cache.get("k0")).toBeNull();
    expect(cache.get("k49")?.value).toBe("v49");
  });

  test("spares what was hit", () => {
    const cache = createLru<string>(30);
    const kept = cache.set("kept", "x", 10);
    for (let i = 0; i < 20; i++) {
      kept.hit = true;
      cache.set(`k${i}`, "y", 10);
    }
    expect(kept.value).toBe("x");
    expect(cache.bytes()).toBe(30);
  });

  test("does not keep what is larger than all of it, and replaces in place", () => {
    const cache = createLru<string>(10);
    expect(cache.set("big", "x", 11).value).toBeNull();
    expect(cache.bytes()).toBe(0);
    const old = cache.set("a", "1", 4);
    cache.set("a", "2", 6);
    expect(old.value).toBeNull();
    expect(cache.bytes()).toBe(6);
  });

  test("a bounded map forgets its oldest", () => {
    const map = new Map<string, number>();
    for (let i = 0; i < 10; i++) remember(map, [`k${i}`, i], 3);
    expect([...map.keys()]).toEqual(["k7", "k8", "k9"]);
  });
});
