/** The MCP bridge over the control socket and over HTTP, as a client of the protocol uses it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type TestKernel, testKernel } from "../../../tests/kernel.ts";
import { localOwner } from "../../caller.ts";
import type { Channel } from "../http.ts";
import { createSys, type Dispatcher, type Sys } from "../mod.ts";

interface Rpc {
  readonly id?: unknown;
  readonly result?: {
    readonly tools?: { name: string; inputSchema: { type: string }; annotations: object }[];
    readonly content?: { text: string }[];
    readonly structuredContent?: unknown;
    readonly isError?: boolean;
    readonly protocolVersion?: string;
  };
  readonly error?: { readonly code: number; readonly message: string };
}

let k: TestKernel;
let sys: Sys;

beforeAll(async () => {
  k = await testKernel();
  const { calls, answer, stats, changes } = k.dispatcher;
  const dispatch: Dispatcher["dispatch"] = (request) => {
    told = request.signal;
    return k.dispatcher.dispatch(request);
  };
  sys = createSys({ ...k, dispatcher: { calls, answer, stats, dispatch, changes } });
  await k.call("fs.write", { path: "/home/a.txt" }, { body: new Blob(["hello"]).stream() });
});

afterAll(async () => {
  await k[Symbol.asyncDispose]();
});

const owner: Channel = { address: null, secure: false, caller: localOwner("socket") };

/** The signal of the last call that was made. */
let told: AbortSignal | undefined;

function post(message: unknown, channel = owner, headers: Record<string, string> = {}) {
  const url = "http://os.localhost/mcp";
  const body = typeof message === "string" ? message : JSON.stringify(message);
  const request = new Request(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  return sys(request, new URL(url), channel);
}

async function ask(method: string, params: object = {}, channel = owner): Promise<Rpc> {
  const response = await post({ jsonrpc: "2.0", id: 7, method, params }, channel);
  expect(response.status).toBe(200);
  const reply = (await response.json()) as Rpc;
  expect(reply.id).toBe(7);
  return reply;
}

const use = (name: string, input: object = {}) =>
  ask("tools/call", { name, arguments: input }).then(({ result }) => result);

describe("a client of the protocol", () => {
  test("introduces itself and is answered in a revision both know", async () => {
    const old = await ask("initialize", { protocolVersion: "2025-03-26" });
    expect(old.result?.protocolVersion).toBe("2025-03-26");
    const future = await ask("initialize", { protocolVersion: "2099-01-01" });
    expect(future.result?.protocolVersion).toBe("2025-06-18");
    const told = await post({ jsonrpc: "2.0", method: "notifications/initialized" });
    expect(told.status).toBe(202);
    expect(await told.text()).toBe("");
  });

  test("finds every call that is had over HTTP as a tool with a schema", async () => {
    const { result } = await ask("tools/list");
    const names = result?.tools?.map(({ name }) => name) ?? [];
    const wanted = [...k.dispatcher.calls]
      .filter(([, { surfaces }]) => surfaces.includes("http"))
      .map(([name]) => name.replaceAll(".", "_").replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`));
    expect(names).toEqual(wanted);
    for (const tool of result?.tools ?? []) {
      expect(tool.inputSchema.type).toBe("object");
      expect(tool.name).toMatch(/^[a-z_]{1,64}$/);
    }
  });

  test("reads and writes with them", async () => {
    expect((await use("fs_read", { path: "/home/a.txt" }))?.content?.[0]?.text).toBe("hello");
    await use("fs_write", { path: "/home/b.txt", body: "from a model" });
    expect((await use("fs_read", { path: "/home/b.txt" }))?.content?.[0]?.text).toBe(
      "from a model",
    );
    const stat = await use("fs_stat", { path: "/home/b.txt" });
    expect(stat?.structuredContent).toMatchObject({ kind: "file", sizeBytes: 12 });
  });

  test("reads of a refusal with its hint, as a result", async () => {
    const result = await use("fs_read", { path: "/home/none" });
    expect(result?.isError).toBe(true);
    expect(result?.content?.[0]?.text).toContain("ENOENT");
    const bad = await use("fs_read", { pth: "/home/a.txt" });
    expect(bad?.isError).toBe(true);
    expect(bad?.content?.[0]?.text).toContain("EINVAL");
  });
});

test("a stream without an end gives what has come, and nobody follows it any more", async () => {
  const result = await use("proc_logs", { app: "kernel", follow: true, grep: "never said" });
  expect(result?.content?.[0]?.text).toBe("");
  expect(told?.aborted).toBe(true);
}, 30_000);

describe("what is no message of the protocol", () => {
  test("is an error of JSON-RPC, by its number", async () => {
    expect((await ask("tools/none")).error?.code).toBe(-32601);
    expect((await ask("tools/call", { name: "none" })).error?.code).toBe(-32602);
    const broken = await post("{");
    expect(broken.status).toBe(400);
    expect(((await broken.json()) as Rpc).error?.code).toBe(-32700);
    const other = await post({ id: 1, method: "ping" });
    expect(((await other.json()) as Rpc).error?.code).toBe(-32600);
  });

  test("or is refused: no credentials, no POST", async () => {
    const stranger: Channel = { address: "192.0.2.1", secure: false };
    const refused = await post({ jsonrpc: "2.0", id: 1, method: "tools/list" }, stranger);
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toContain("Bearer");
    const url = "http://os.localhost/mcp";
    expect((await sys(new Request(url), new URL(url), owner)).status).toBe(405);
  });
});

test("a token sees the tools it may use, and no others work", async () => {
  const { token } = await k.call<{ token: string }>("security.token.add", {
    name: "agent",
    capabilities: ["fs:read"],
  });
  const channel: Channel = { address: "192.0.2.1", secure: false };
  const headers = { authorization: `Bearer ${token}` };
  const send = async (method: string, params: object): Promise<Rpc> => {
    const response = await post({ jsonrpc: "2.0", id: 1, method, params }, channel, headers);
    return (await response.json()) as Rpc;
  };
  const names = (await send("tools/list", {})).result?.tools?.map(({ name }) => name) ?? [];
  expect(names).toContain("fs_read");
  expect(names).not.toContain("fs_write");
  const params = { name: "fs_write", arguments: { path: "/home/c", body: "x" } };
  const tried = await send("tools/call", params);
  expect(tried.result?.isError).toBe(true);
  expect(tried.result?.content?.[0]?.text).toContain("EACCES");
});

test("/llms.txt tells agents of every call, and of no app", async () => {
  const url = "http://os.localhost/llms.txt";
  const response = await sys(new Request(url), new URL(url), { address: null, secure: false });
  const text = await response.text();
  expect(response.headers.get("content-type")).toContain("text/plain");
  expect(text).toStartWith("# fazt 0.0.0-test\n");
  expect(text).toContain("`fazt fs read PATH` (POST /sys/fs/read)");
});
