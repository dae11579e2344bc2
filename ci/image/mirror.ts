/**
 * Where packages come from: the mirrors of the machine that builds, as its apt knows them. Nothing
 * of the kind is written down in the project, so a build behind a proxy or a local mirror works as
 * `apt-get install` does there.
 */
import { readFileSync } from "node:fs";
import { root } from "../with.mjs";

export type Distribution = "debian" | "ubuntu";

export interface Mirror {
  readonly distribution: Distribution;
  /** Where the release is, and where its security updates are; often the same. */
  readonly main: string;
  readonly security: string;
}

const keyrings: Readonly<Record<Distribution, string>> = {
  debian: "/usr/share/keyrings/debian-archive-keyring.gpg",
  ubuntu: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
};

/** The release that `mkosi.profiles/<distribution>/mkosi.conf` names. */
export function releaseOf(distribution: Distribution): string {
  const text = readFileSync(`${root}mkosi.profiles/${distribution}/mkosi.conf`, "utf8");
  const release = /^Release=(\S+)$/m.exec(text)?.[1];
  if (release === undefined) throw new Error(`no Release= for "${distribution}"`);
  return release;
}

/**
 * Reads the lines of `apt-get indextargets`, each `ORIGIN LABEL REPO_URI`. A label may hold no
 * space. Pure; null where apt knows neither distribution.
 */
export function mirrorOf(lines: readonly string[]): Mirror | null {
  const known = lines.map((line) => line.split(" ")).filter((words) => words.length === 3);
  for (const distribution of ["debian", "ubuntu"] as const) {
    const ours = known.filter(([origin]) => origin?.toLowerCase() === distribution);
    const main = ours.find(([, label]) => label?.toLowerCase() === distribution)?.[2];
    if (main === undefined) continue;
    const security = ours.find(([, label]) => label?.endsWith("-Security"))?.[2] ?? main;
    return { distribution, main, security };
  }
  return null;
}

/** The mirror of this machine. Throws where apt has none. */
export function hostMirror(): Mirror {
  const format = "$(ORIGIN) $(LABEL) $(REPO_URI)";
  const apt = Bun.spawnSync([
    "apt-get",
    "indextargets",
    "--format",
    format,
    "Created-By: Packages",
  ]);
  const mirror = mirrorOf([...new Set(apt.stdout.toString().split("\n"))]);
  if (mirror === null) {
    throw new Error(
      "apt knows no Debian or Ubuntu mirror: run apt-get update, and look at /etc/apt",
    );
  }
  return mirror;
}

/** The release of a mirror with its updates, as a file of `sources.list.d`. */
export function sourcesOf({ distribution, main, security }: Mirror, release: string): string {
  const components = distribution === "debian" ? "main" : "main universe";
  const entry = (uri: string, suites: string) =>
    `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: ${components}\n` +
    `Signed-By: ${keyrings[distribution]}\n`;
  return `${entry(main, `${release} ${release}-updates`)}\n${entry(security, `${release}-security`)}`;
}
