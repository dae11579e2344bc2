/** The sandbox on this host, by what a process in it meets; raw system calls through bun:ffi. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { realMachine } from "../../machine.ts";
import { meta, sandbox, stage, testLauncher } from "../fixture.ts";
import { findHost, makeTmp } from "./host.ts";
import { appUid } from "./identity.ts";
import { findSandbox } from "./mod.ts";
import { hierarchyOf } from "./place.ts";
import { architectures } from "./syscalls.ts";

const isRoot = process.getuid?.() === 0;
const isWhole = sandbox.kind === "bubblewrap";
const get = (path = "/") => new Request(`http://test.localhost${path}`);

/** An app that answers what this expression gives. */
const answering = (expression: string) =>
  `import * as fs from "node:fs";
   import * as os from "node:os";
   const attempt = (run) => { try { return run() ?? "ok"; } catch (error) { return error.code ?? error.message; } };
   const libc = () => require("bun:ffi").dlopen("libc.so.6", {
     syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64"], returns: "i64" },
     __errno_location: { args: [], returns: "ptr" },
     setrlimit: { args: ["i32", "ptr"], returns: "i32" },
   });
   const call = (number, ...args) => {
     const { symbols } = libc();
     while (args.length < 5) args.push(0);
     const result = Number(symbols.syscall(number, ...args));
     if (result !== -1) return result;
     return -require("bun:ffi").read.i32(symbols.__errno_location(), 0);
   };
   export default async () => Response.json(await (${expression}));`;

async function asked<T>(expression: string, options = {}): Promise<T> {
  await using place = stage();
  const app = place.spawn(answering(expression), options);
  await app.ready;
  return (await (await app.fetch(get(), meta)).json()) as T;
}

const { numbers } = process.arch === "arm64" ? architectures.aarch64 : architectures.x86_64;
const called = (name: keyof typeof numbers, ...args: number[]) =>
  asked<number>(`call(${[numbers[name], ...args].join(", ")})`);

describe.if(isWhole)("system calls", () => {
  const EPERM = -1;
  const ENOSYS = -38;
  const EAFNOSUPPORT = -97;
  const inet = 2;
  const inet6 = 10;
  const unix = 1;
  const netlink = 16;
  const newUser = 0x10000000;
  const sigchld = 17;
  test.each([
    ["ptrace", [0, 0], EPERM],
    ["process_vm_readv", [1, 0], EPERM],
    ["mount", [], EPERM],
    ["umount2", [], EPERM],
    ["pivot_root", [], EPERM],
    ["unshare", [newUser], EPERM],
    ["setns", [5, 0], EPERM],
    ["bpf", [], EPERM],
    ["perf_event_open", [], EPERM],
    ["userfaultfd", [], EPERM],
    ["add_key", [], EPERM],
    ["keyctl", [], EPERM],
    ["request_key", [], EPERM],
    ["open_by_handle_at", [], EPERM],
    ["personality", [0xffffffff], EPERM],
    ["kexec_load", [], EPERM],
    ["init_module", [], EPERM],
    ["shmget", [], EPERM],
    ["clone", [sigchld], EPERM],
    ["clone", [newUser + sigchld], EPERM],
    ["clone3", [], ENOSYS],
    ["io_uring_setup", [8], ENOSYS],
    ["memfd_create", [], ENOSYS],
    ["socket", [inet, 1], EAFNOSUPPORT],
    ["socket", [inet, 2], EAFNOSUPPORT],
    ["socket", [inet6, 1], EAFNOSUPPORT],
    ["socket", [unix, 1], EAFNOSUPPORT],
    ["socket", [netlink, 3], EAFNOSUPPORT],
    ["socketpair", [unix, 1], EAFNOSUPPORT],
    ["ioctl", [0, 0x5412], EPERM],
  ] as const)("%s %j", async (name, args, errno) => {
    expect(await called(name, ...args)).toBe(errno);
  });

  test("of another interface do not exist", async () => {
    expect(await asked("call(0x40000000 + 39)")).toBe(ENOSYS);
  });

  test("make no process, by any door", async () => {
    const seen = await asked<Record<string, string>>(`({
      bun: attempt(() => Bun.spawnSync(["/runtime"]).exitCode),
      node: attempt(() => require("node:child_process").execFileSync("/runtime").length) })`);
    // Pipes to a child are sockets, refused first.
    expect(seen["bun"]).toMatch(/^(EPERM|EAFNOSUPPORT)$/);
    expect(seen["node"]).toMatch(/^(EPERM|EAFNOSUPPORT)$/);
  });
});

describe.if(isWhole)("what is seen", () => {
  test("no capability, no new privilege, the filter; nobody else's descriptors", async () => {
    await using place = stage();
    const app = place.spawn(answering("1"));
    await app.ready;
    const status = readFileSync(`/proc/${app.pid}/status`, "utf8");
    for (const kind of ["Inh", "Prm", "Eff", "Bnd", "Amb"]) {
      expect(status).toMatch(new RegExp(`Cap${kind}:\\s0{16}\\n`));
    }
    expect(status).toMatch(/NoNewPrivs:\s1\n/);
    expect(status).toMatch(/Seccomp:\s2\n/);
  });

  test.if(isRoot)("a user of its own, who owns its volume and cannot become another", async () => {
    await using place = stage();
    const app = place.spawn(
      answering(`({ uid: process.getuid(), root: attempt(() => process.setuid(0)) })`),
    );
    await app.ready;
    const uid = appUid(place.appId);
    expect(await (await app.fetch(get(), meta)).json()).toEqual({ uid, root: "EINVAL" });
    expect(readFileSync(`/proc/${app.pid}/status`, "utf8")).toContain(`Uid:\t${uid}\t${uid}`);
    expect(statSync(join(place.dir, "volume", "app.db")).uid).toBe(uid);
  });

  test.if(isRoot)("of its volume nothing but three files, each bounded", async () => {
    await using place = stage();
    const app = place.spawn(
      answering(`({
        made: attempt(() => fs.writeFileSync("/volume/mine", "1")),
        linked: attempt(() => fs.linkSync("/volume/app.db", "/volume/other")),
        renamed: attempt(() => fs.renameSync("/volume/app.db", "/volume/other")),
        removed: attempt(() => fs.rmSync("/volume/app.db-wal")),
        opened: attempt(() => fs.chmodSync("/volume", 0o777)),
        lifted: libc().symbols.setrlimit(1, new BigUint64Array([1n << 40n, 1n << 40n])),
        written: attempt(() => {
          const piece = new Uint8Array(1 << 20);
          const file = fs.openSync("/volume/app.db-shm", "r+");
          for (let at = 0; ; at += piece.length) fs.writeSync(file, piece, 0, piece.length, at);
        }),
      })`),
      { fileBytes: 8 * 1024 * 1024 },
    );
    await app.ready;
    expect(await (await app.fetch(get(), meta)).json()).toEqual({
      ...{ made: "EACCES", linked: "EACCES", renamed: "EACCES", removed: "EACCES" },
      ...{ opened: "EPERM", written: "EFBIG", lifted: -1 },
    });
    expect(readdirSync(join(place.dir, "volume")).sort()).toEqual([
      ...["app.db", "app.db-shm", "app.db-wal"],
    ]);
    expect(statSync(join(place.dir, "volume", "app.db-shm")).size).toBe(8 * 1024 * 1024);
  });

  test.if(isRoot)(
    "/tmp is bounded in bytes and in files, and is gone with the process",
    async () => {
      const many = `(() => { let n = 0; try { for (;; n++) fs.writeFileSync("/tmp/" + n, ""); }
      catch (error) { return [n, error.code]; } })()`;
      const [count, code] = await asked<[number, string]>(many);
      expect(count).toBeLessThan(2048);
      expect(code).toBe("ENOSPC");
      const large = `attempt(() => fs.writeFileSync("/tmp/x", new Uint8Array(20 * 1024 * 1024)))`;
      expect(await asked<string>(large)).toBe("ENOSPC");
    },
  );
});

describe.if(isWhole)("what is used", () => {
  test("threads, descriptors and files have a bound each", async () => {
    await using place = stage();
    const app = place.spawn(answering("1"));
    await app.ready;
    const limits = readFileSync(`/proc/${app.pid}/limits`, "utf8");
    expect(limits).toMatch(/Max core file size\s+0 /);
    expect(limits).toMatch(/Max open files\s+1024 +1024 /);
    expect(limits).toMatch(/Max processes\s+\d{3} /);
    expect(limits).toMatch(/Max file size\s+1073741824 /);
  });

  test("memory: the one who takes too much is ended, and is told its peak", async () => {
    await using place = stage();
    const hog = `const kept = []; setInterval(() => kept.push(new Uint8Array(1 << 22).fill(1)), 1);
      export default () => new Response()`;
    const app = place.spawn(hog, { memoryBytes: 64 * 1024 * 1024 });
    await app.ready;
    expect(await app.exited).toMatch(/^out of memory: it used \d+ MB and may use 64 MB$/);
  });
});

/** The directory of the group of all apps of the kernel that has this one. */
function groupOf(pid: number): string {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8");
  const membership = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  return dirname(hierarchyOf(mounts, membership)?.own ?? "");
}

test.if(isWhole && isRoot)(
  "a kernel that is killed takes an app in an endless loop along",
  async () => {
    const fixture = JSON.stringify(join(import.meta.dir, "../fixture.ts"));
    const script = `const { stage, meta } = await import(${fixture});
    const app = stage().spawn("export default () => { for (;;); }");
    await app.ready;
    void app.fetch(new Request("http://a.localhost/"), meta).catch(() => 0);
    console.log(app.pid);
    await new Promise(() => setInterval(() => 0, 1000));`;
    const kernel = Bun.spawn([process.execPath, "-e", script], {
      stdout: "pipe",
      stderr: "inherit",
    });
    const { value } = await kernel.stdout.getReader().read();
    const pid = Number(Buffer.from(value ?? []).toString());
    expect(pid).toBeGreaterThan(1);
    const group = groupOf(pid);
    expect(group).toMatch(/\/fazt-[0-9a-f]{12}-\d+$/);
    kernel.kill("SIGKILL");
    await kernel.exited;
    while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setImmediate(resolve));
    while (existsSync(group)) await new Promise((resolve) => setImmediate(resolve));
  },
);

test.if(isWhole && isRoot)("a process is in its group before it runs a word of ours", async () => {
  await using place = stage();
  const app = place.spawn(answering("1"));
  await app.ready;
  const group = readFileSync(`/proc/${app.pid}/cgroup`, "utf8");
  expect(group).toMatch(/^0::.*\/fazt-[0-9a-f]{12}-\d+\/app-\d+$/m);
});

test.if(isWhole && isRoot)("killed at any moment of its start, nothing is left of it", async () => {
  await using place = stage();
  for (let i = 0; i < 40; i++) {
    const app = place.spawn(answering("1"));
    app.ready.catch(() => undefined);
    if (i > 0) await new Promise<void>((resolve) => realMachine().after(i / 2, resolve));
    app.kill("enough");
    // It resolves only when nobody holds its output any more.
    expect(await app.exited).toBe("enough");
  }
});

test.if(isWhole && isRoot)("mounts of an earlier kernel are swept", async () => {
  const runDir = mkdtempSync(join(tmpdir(), "fazt-run-"));
  const machine = realMachine();
  const earlier = findHost({
    bwrap: Bun.which("bwrap") ?? "",
    runDir,
    machine,
    program: [],
    beside: [],
  });
  const left = makeTmp(earlier, 1000);
  expect(left?.path).toStartWith(runDir);
  expect(readFileSync("/proc/self/mounts", "utf8")).toContain(runDir);
  const sandbox = findSandbox(testLauncher, { insecure: false, runDir, machine });
  expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(runDir);
  earlier.processors?.leave(); // or its reaper waits for this process to go
  await Promise.all([sandbox.close(), earlier.reaper?.close()]);
  expect(readdirSync(join(runDir, "tmp"))).toEqual([]);
  rmSync(runDir, { recursive: true });
});
