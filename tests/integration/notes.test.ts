/** The full-stack app, deployed by the command: its API, its database, WebSocket chat, SSE clock. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { type KernelProcess, startProcess, until } from "../process.ts";

const notesApp = fileURLToPath(new URL("../fixtures/apps/notes", import.meta.url));
const chatClient = fileURLToPath(new URL("../fixtures/clients/chat.mjs", import.meta.url));

interface Note {
  readonly id: number;
  readonly text: string;
}
interface Status {
  readonly state: string;
  readonly pid: number | null;
  readonly restarts: number;
  readonly rssBytes: number;
}

let machine: KernelProcess;

beforeAll(async () => {
  machine = await startProcess();
  const deployed = await machine.faztJson<object>("app", "deploy", notesApp);
  expect(deployed).toMatchObject({ app: "notes", url: machine.url("notes") });
});
afterAll(() => machine[Symbol.asyncDispose]());

const get = (path: string) => machine.fetch("notes", path);
const list = async () => (await (await get("/api/notes")).json()) as Note[];
const add = (text: unknown) =>
  machine.fetch("notes", "/api/notes", { method: "POST", body: JSON.stringify({ text }) });
const status = async () => (await machine.faztJson<Status[]>("proc", "status", "notes"))[0];

describe("HTTP", () => {
  test("its page is a file, its API is its process", async () => {
    const page = await get("/");
    expect(page.status).toBe(200);
    expect(page.headers.get("x-content-type-options")).toBe("nosniff");
    expect(await page.text()).toContain("<title>Notes</title>");
    const about = (await (await get("/api/about")).json()) as { greeting: string };
    expect(about.greeting).toBe("Write something down.");
    expect(await (await get("/api/private")).text()).toContain("Kept in private/");
    expect((await get("/private/motto.txt")).status).toBe(404);
    expect((await get("/app.json")).status).toBe(404);
    expect((await get("/server.js")).status).toBe(404);
  });

  test("a note is written, listed, removed", async () => {
    const made = await add("  Buy milk ");
    expect(made.status).toBe(201);
    const note = (await made.json()) as Note;
    expect(note.text).toBe("Buy milk");
    expect((await list()).map(({ text }) => text)).toEqual(["Buy milk"]);
    expect((await add("")).status).toBe(400);
    const remove = () => machine.fetch("notes", `/api/notes/${note.id}`, { method: "DELETE" });
    expect([(await remove()).status, (await remove()).status]).toEqual([204, 404]);
    expect(await list()).toEqual([]);
  });

  test("an exception is a 502 with an incident id; the log has the stack", async () => {
    const broken = await get("/api/break");
    const text = await broken.text();
    expect(text).not.toContain("broken on purpose");
    expect([500, 502]).toContain(broken.status);
    await until("the stack in the log", async () => {
      const { stdout } = await machine.fazt("proc", "logs", "notes", "--json");
      return stdout.includes("broken on purpose");
    });
    expect((await get("/api/about")).status).toBe(200);
  });

  test("the end of the process is one answer lost, and the next request starts it again", async () => {
    const before = await status();
    expect((await get("/api/exit")).status).toBe(502);
    await until("another process", async () => {
      const answer = await get("/api/health");
      await answer.body?.cancel();
      return answer.status === 200;
    });
    const after = await status();
    expect(after?.pid).not.toBe(before?.pid ?? 0);
    expect(after?.restarts).toBe((before?.restarts ?? 0) + 1);
  });
});

describe("what is written stays", () => {
  test("over proc restart, proc stop and start, and a kernel that is killed", async () => {
    expect((await add("Stay")).status).toBe(201);
    const first = await status();
    await machine.faztJson("proc", "restart", "notes");
    expect((await list())[0]?.text).toBe("Stay");
    expect((await status())?.pid).not.toBe(first?.pid ?? 0);

    await machine.faztJson("proc", "stop", "notes");
    expect((await get("/api/notes")).status).toBe(503);
    expect((await get("/")).status).toBe(200);
    await machine.faztJson("proc", "start-app", "notes");
    expect((await list())[0]?.text).toBe("Stay");

    await machine.restart("SIGKILL");
    expect((await list())[0]?.text).toBe("Stay");
    await machine.restart("SIGTERM");
    expect((await list())[0]?.text).toBe("Stay");
  });

  test("no process of the app outlives the kernel, killed or not", async () => {
    await get("/api/health");
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const pid = (await status())?.pid ?? 0;
      expect(pid).toBeGreaterThan(0);
      await machine.stop(signal);
      await until(`process ${pid} is gone`, () => !alive(pid));
      await machine.start();
      await get("/api/health");
    }
  });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The foreign client, as events that can be waited for. */
function chatter() {
  const url = `ws://127.0.0.1:${machine.port}/api/chat`;
  const node = Bun.which("node") ?? "node";
  const child = Bun.spawn([node, chatClient, url, `notes.localhost:${machine.port}`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const events: Record<string, unknown>[] = [];
  const reading = (async () => {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const bytes of child.stdout) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      events.push(...lines.map((line) => JSON.parse(line) as Record<string, unknown>));
    }
  })();
  return {
    events,
    heard: (wanted: object) =>
      until(JSON.stringify(wanted), () => events.some((event) => Bun.deepMatch(wanted, event))),
    say: (text: string) => {
      child.stdin.write(`${text}\n`);
      child.stdin.flush();
    },
    leave: async () => {
      child.stdin.end();
      await reading;
      return child.exited;
    },
    end: async () => {
      child.kill();
      await child.exited;
    },
  };
}

const said = (text: string) => ({ kind: "message", text: JSON.stringify({ kind: "said", text }) });
const people = (text: string) => ({
  kind: "message",
  text: JSON.stringify({ kind: "people", text }),
});

describe("WebSocket, by the ws package on Node", () => {
  test("two people chat; one leaves and the other is told", async () => {
    const [ada, ben] = [chatter(), chatter()];
    try {
      await ada.heard(people("2"));
      await ben.heard(people("2"));
      ada.say("hello, naïve 🌍");
      await ben.heard(said("hello, naïve 🌍"));
      await ada.heard(said("hello, naïve 🌍"));
      ben.say("x".repeat(400));
      await ada.heard(said("x".repeat(400)));
      const before = ada.events.length;
      expect(await ben.leave()).toBe(0);
      expect(ben.events.at(-1)).toEqual({ kind: "close", code: 1000 });
      const told = () => ada.events.slice(before).some((one) => Bun.deepMatch(people("1"), one));
      await until("the other is told", told);
    } finally {
      await ada.end();
      await ben.end();
    }
  });

  test("a kernel that stops closes it, so that the client can come again", async () => {
    const ada = chatter();
    try {
      await ada.heard({ kind: "open" });
      await machine.stop("SIGTERM");
      await ada.heard({ kind: "close" });
    } finally {
      await ada.end();
      await machine.start();
    }
  });
});

test("curl -N sees the clock tick, each second as it comes", async () => {
  const url = machine.url("notes", "/api/clock");
  const { stdout } = await machine.curl("-N", "--include", "--max-time", "3.5", url);
  expect(stdout).toMatch(/content-type: text\/event-stream/i);
  const ticks = [...stdout.matchAll(/event: tick\r?\ndata: (\S+)/g)].map(([, at]) => at ?? "");
  expect(ticks.length).toBeGreaterThanOrEqual(3);
  const gaps = ticks.slice(1).map((at, i) => Date.parse(at) - Date.parse(ticks[i] ?? ""));
  expect(Math.min(...gaps)).toBeGreaterThan(900);
});
