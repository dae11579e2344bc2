/**
 * The owner of a machine under test: claims it with the code its serial line shows, and makes calls
 * over the forwarded port.
 */
import { expect } from "bun:test";
import type { Vm } from "./vm.ts";

const rootPass = "correct horse battery";
/** A name that leads to this machine, as the command and browsers know. */
const domain = "localhost";

interface Asked {
  readonly token?: string;
  readonly input?: unknown;
  /** The bytes of an upload. */
  readonly body?: string;
}

/** Makes a call by its path, such as `/sys/fs/ls`. */
export async function call(vm: Vm, path: string, asked: Asked = {}): Promise<Response> {
  const { token, input = {}, body } = asked;
  const query = body === undefined ? "" : `?input=${encodeURIComponent(JSON.stringify(input))}`;
  const type = body === undefined ? "application/json" : "application/octet-stream";
  const rights = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return await answerOf(vm, `${path}${query}`, {
    method: "POST",
    headers: { host: `os.${domain}`, "content-type": type, ...rights },
    body: body ?? JSON.stringify(input),
    signal: AbortSignal.timeout(60_000),
  });
}

/** An answer; one that does not come is told with what was asked, and what the machine said last. */
async function answerOf(vm: Vm, path: string, asked: RequestInit): Promise<Response> {
  try {
    return await fetch(`${vm.http}${path}`, asked);
  } catch (error) {
    const last = vm.serial.text.slice(-1500);
    throw new Error(`${path}: ${error}; the machine: ${last}`, { cause: error });
  }
}

/** Claims the machine; answers the owner's token. */
export async function claim(vm: Vm): Promise<string> {
  const [, code] = await vm.serial.expect(/[Ss]etup code\W+([A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4})/);
  const input = { code, rootPass, domain, email: "owner@fazt.test" };
  const answer = await call(vm, "/sys/setup/claim", { input });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { token: string }).token;
}

/** An app: its server file, and others by name that it imports. */
export interface BootApp {
  readonly name: string;
  readonly server: string;
  readonly more?: Readonly<Record<string, string>>;
}

/** Deploys an app. */
export async function deploy(vm: Vm, token: string, app: BootApp) {
  const files: { path: string; hash: string; sizeBytes: number }[] = [];
  for (const [path, body] of Object.entries({ "server.js": app.server, ...app.more })) {
    const blob = await call(vm, "/sys/fs/blob/put", { token, body });
    const { hash, sizeBytes } = (await blob.json()) as { hash: string; sizeBytes: number };
    files.push({ path, hash, sizeBytes });
  }
  const input = { name: app.name, manifest: { server: "server.js" }, files };
  const answer = await call(vm, "/sys/app/deploy", { token, input });
  expect([answer.status, answer.ok ? "" : await answer.text()]).toEqual([200, ""]);
}

/** A visitor's request to an app. */
export async function visit(vm: Vm, app: string, path = "/"): Promise<Response> {
  const headers = { host: `${app}.${domain}` };
  return await answerOf(vm, path, { headers, signal: AbortSignal.timeout(90_000) });
}
