/**
 * What fazt is measured against: nginx with one worker and no access log, Caddy, and the runtime's
 * own server without a kernel in front. Each as its manual says it is fast.
 */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Bench } from "./bench.ts";
import { answering, firstLine, freePort, type Started, startProgram } from "./process.ts";

export interface Rival extends AsyncDisposable {
  readonly url: string;
}

function rival(url: string, started: Started): Rival {
  return { url, [Symbol.asyncDispose]: () => started[Symbol.asyncDispose]() };
}

function findCommand(name: string): string {
  const path = `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;
  const found = Bun.which(name, { PATH: path });
  if (found === null) throw new Error(`no ${name} on this machine`);
  return found;
}

/** Files of a certificate and its key, in PEM. */
interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** nginx with TLS and HTTP/2 on one worker. */
export function startNginxTls(bench: Bench, root: string, tls: KeyPair): Promise<Rival> {
  return startNginx(bench, root, { fileCache: false, probe: "/4k.html", tls });
}

/**
 * `fileCache`: with open_file_cache, which keeps descriptors open and looks at files less often;
 * `patienceS`: how long strangers may take for a head or to read, many of them at once.
 */
export async function startNginx(
  bench: Bench,
  root: string,
  options: { fileCache: boolean; probe: string; tls?: KeyPair; patienceS?: number },
): Promise<Rival> {
  const { tls, patienceS } = options;
  const patience =
    patienceS === undefined
      ? ""
      : `client_header_timeout ${patienceS}s; send_timeout ${patienceS}s;`;
  const dir = bench.directory("nginx");
  const port = freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${dir}/${name};`,
  );
  const config = `
    ${process.getuid?.() === 0 ? "user root;" : ""}
    worker_processes 1;
    daemon off;
    pid ${dir}/pid;
    error_log stderr;
    events { worker_connections ${patienceS === undefined ? 1024 : 8192}; }
    http {
      access_log off;
      sendfile on;
      ${patience}
      tcp_nopush on;
      keepalive_requests 100000000;
      default_type application/octet-stream;
      types { text/html html; }
      ${options.fileCache ? "open_file_cache max=1000;" : ""}
      ${temporary.join("\n      ")}
      ${tls === undefined ? "" : `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};`}
      server { listen 127.0.0.1:${port}${tls === undefined ? "" : " ssl http2"}; root ${root}; }
    }
  `;
  const file = join(dir, "nginx.conf");
  writeFileSync(file, config);
  const started = startProgram([findCommand("nginx"), "-e", "stderr", "-p", dir, "-c", file]);
  const url = `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`;
  await answering(`${url}${options.probe}`);
  return rival(url, started);
}

/** Caddy with TLS, by a certificate it is given. */
export async function startCaddyTls(bench: Bench, root: string, tls: KeyPair): Promise<Rival> {
  const dir = bench.directory("caddy");
  const url = `https://localhost:${freePort()}`;
  const file = join(dir, "Caddyfile");
  const site = `${url} {\n  bind 127.0.0.1\n  tls ${tls.cert} ${tls.key}\n  root * ${root}\n  file_server\n}\n`;
  writeFileSync(file, `{\n  admin off\n  auto_https off\n}\n${site}`);
  const home = { HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir };
  const run = ["run", "--config", file, "--adapter", "caddyfile"];
  const started = startProgram([findCommand("caddy"), ...run], { env: home, quiet: true });
  await answering(`${url}/4k.html`);
  return rival(url, started);
}

export async function startCaddy(bench: Bench, root: string, probe: string): Promise<Rival> {
  const dir = bench.directory("caddy");
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const file = join(dir, "Caddyfile");
  const site = `${url} {\n  bind 127.0.0.1\n  root * ${root}\n  file_server\n}\n`;
  writeFileSync(file, `{\n  admin off\n  auto_https off\n}\n${site}`);
  const home = { HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir };
  const run = ["run", "--config", file, "--adapter", "caddyfile"];
  const started = startProgram([findCommand("caddy"), ...run], { env: home, quiet: true });
  await answering(`${url}${probe}`);
  return rival(url, started);
}

/** The handler of an app on `Bun.serve` and a TCP port of its own. */
export async function startBare(entry: string): Promise<Rival> {
  const server = new URL("./bare.ts", import.meta.url).pathname;
  const argv = [process.execPath, "--no-env-file", "--no-install", server, entry];
  const started = startProgram(argv, { env: { NODE_ENV: "production" } });
  return rival(await firstLine(started.stdout), started);
}

/** Writes a file that web servers of any user can read. */
export function publish(path: string, bytes: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  chmodSync(path, 0o644);
}
