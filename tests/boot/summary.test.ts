/**
 * What is released and not built here: mkosi reads the tree for Ubuntu, and for the other
 * architecture, and finds in it what it is to be.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { releaseOf } from "../../ci/image/mirror.ts";
import { ensureTools } from "../../ci/image/tools.ts";

/** An image as `mkosi --json summary` tells it, as far as the test looks. */
interface Summary {
  readonly Images: readonly {
    readonly Distribution: string;
    readonly Release: string;
    readonly Architecture: string;
    readonly Packages: readonly string[];

    readonly Bootable: string;
  }[];
}

test.each([
  ["ubuntu", "x86-64", "linux-image-virtual"],
  ["ubuntu", "arm64", "linux-image-virtual"],
  ["debian", "x86-64", "linux-image-cloud-amd64"],
  ["debian", "arm64", "linux-image-cloud-arm64"],
] as const)(
  "%s for %s",
  async (distribution, architecture, kernel) => {
    const { run } = await ensureTools();
    const dir = mkdtempSync(join(tmpdir(), "fazt-summary-"));
    try {
      const what = [`--profile=${distribution}`, `--architecture=${architecture}`];
      const text = await run(["mkosi", ...what, `--output-directory=${dir}`, "--json", "summary"]);
      const [image] = (JSON.parse(text) as Summary).Images;
      expect(image).toMatchObject({
        Distribution: distribution,
        Release: releaseOf(distribution),
        Architecture: architecture,

        Bootable: "disabled",
      });
      const kernels = image?.Packages.filter((name) => name.startsWith("linux-image"));
      expect(kernels).toEqual([kernel]);
      expect(image?.Packages).toContain("systemd-bootchart");
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
  120_000,
);
