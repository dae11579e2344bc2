// The palette of the OS's pages: every pair that carries text or meaning, in light and dark, has
// the contrast WCAG 2.2 asks for (1.4.3: 4.5; 1.4.11: 3 for the edges of controls).
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";

const css = readFileSync(new URL("../../image/os/os.css", import.meta.url), "utf8");

function colours(block: string): Record<string, string> {
  return Object.fromEntries(
    [...block.matchAll(/--([a-z-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [
      name,
      value,
    ]) as [string, string][],
  );
}

const [light = "", dark = ""] = css.split("@media (prefers-color-scheme: dark)");
const schemes = { light: colours(light), dark: { ...colours(light), ...colours(dark) } };

/** Relative luminance (WCAG 2.2, definitions). */
function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

const text: readonly (readonly [string, readonly string[]])[] = [
  ["paper", ["ink", "soft", "accent", "good", "fair", "bad"]],
  ["card", ["ink", "soft", "accent", "good", "fair", "bad"]],
  ["tint", ["ink", "accent"]],
  ["accent", ["on-accent"]],
  ["accent-hover", ["on-accent"]],
  ["bad", ["card"]],
  ["deep", ["on-deep", "on-deep-soft", "spark"]],
];

const edges: readonly (readonly [string, readonly string[]])[] = [
  ["paper", ["edge", "accent", "bad"]],
  ["card", ["edge", "accent", "bad"]],
  ["deep", ["spark"]],
];

describe.each(Object.entries(schemes))("%s", (_, palette) => {
  const pairs = (table: typeof text) =>
    table.flatMap(([ground, inks]) => inks.map((ink) => [ink, ground] as const));
  const measure = (ink: string, ground: string) =>
    contrast(palette[ink] ?? "#000000", palette[ground] ?? "#000000");

  test.each(pairs(text))("text %s on %s", (ink, ground) => {
    expect(measure(ink, ground)).toBeGreaterThanOrEqual(4.5);
  });

  test.each(pairs(edges))("edge %s on %s", (ink, ground) => {
    expect(measure(ink, ground)).toBeGreaterThanOrEqual(3);
  });
});

test("the measure itself: black on white is 21", () => {
  expect(contrast("#000000", "#ffffff")).toBeCloseTo(21, 5);
});
