/**
 * Which kernel a command is for. Pure.
 *
 * `--host`, else `--data` (the kernel of that directory), else `FAZT_HOST`, else the kernel of this
 * machine. A host is a URL, the name of a machine logged in to, or a domain (`https://os.<domain>`).
 * `FAZT_TOKEN` belongs to `FAZT_HOST`: it is not sent to another machine that `--host` names.
 */
import { controlSocketPath, dataDirOf, type Surroundings } from "../kernel/data-dir.ts";
import type { Hosts } from "./hosts.ts";
import { UsageError } from "./usage.ts";

export type Target =
  | { readonly kind: "local"; readonly dataDir: string; readonly socket: string }
  | { readonly kind: "remote"; readonly url: string; readonly token: string | null };

/** The origin that a host name or URL stands for. */
export function originOf(host: string, hosts: Hosts = {}): string {
  const known = hosts[host];
  if (known !== undefined) return known.url;
  if (/^https?:\/\//i.test(host) && URL.canParse(host)) return new URL(host).origin;
  const name = host.startsWith("os.") ? host : `os.${host}`;
  const local = /(^|\.)localhost(:\d+)?$/.test(name);
  const port = local && !/:\d+$/.test(name) ? ":8080" : "";
  const url = `${local ? "http" : "https"}://${name}${port}`;
  if (/^[\w.:-]+$/.test(host) && URL.canParse(url)) return new URL(url).origin;
  throw new UsageError(`"${host}" is no host`, "give a URL, or a domain such as example.com");
}

function tokenFor(url: string, env: Surroundings["env"], hosts: Hosts): string | null {
  const given = env["FAZT_TOKEN"] ?? "";
  const named = env["FAZT_HOST"] ?? "";
  if (given !== "" && (named === "" || originOf(named, hosts) === url)) return given;
  return Object.values(hosts).find((host) => host.url === url)?.token ?? null;
}

/** The kernel to ask. */
export function targetOf(
  flags: { readonly host: string | null; readonly data: string | null },
  around: Surroundings,
  hosts: Hosts,
): Target {
  const fromEnv = flags.data === null ? around.env["FAZT_HOST"] : undefined;
  const host = flags.host ?? fromEnv ?? "";
  if (host === "") {
    const dataDir = dataDirOf(flags.data ?? undefined, around);
    return { kind: "local", dataDir, socket: controlSocketPath(dataDir) };
  }
  const url = originOf(host, hosts);
  return { kind: "remote", url, token: tokenFor(url, around.env, hosts) };
}
