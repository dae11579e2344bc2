/**
 * A virtual machine booted from the image, as a test holds it: its serial line, its ports, its end.
 *
 *     await using vm = await bootVm({ firmware: "uefi", memoryMb: 512 });
 *     await vm.up();
 *     await vm.serial.expect(/Setup code +(\S+)/);
 *
 * The disk is a layer over the image, so that a test writes to nobody's but its own; `disk` of one
 * machine may be given to the next, which is what a second boot is. Ends by pid, always.
 */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bus, type Firmware, firmwareVariables, qemuWords } from "../../ci/image/qemu.ts";
import type { Image } from "../../ci/image.ts";
import { until } from "../process.ts";
import { testImage } from "./image.ts";
import { Serial } from "./serial.ts";

export interface VmOptions {
  readonly firmware?: Firmware;
  readonly memoryMb?: number;
  /** Two, where it is not said. */
  readonly processors?: number;
  /** A disk made by `makeDisk`, which outlives the machine; else one of its own. */
  readonly disk?: string;
  readonly diskSize?: string;
  readonly bus?: Bus;
  /** False: no network device. */
  readonly network?: boolean;
  readonly cdrom?: string;
  /** With a watchdog card. */
  readonly watchdog?: boolean;
  readonly smbios?: readonly string[];
  /**
   * TypeScript to run in the machine, as root, once it is up: its standard output is `probed()`.
   * A unit that the firmware's credentials bring (systemd.system-credentials(7)) runs it.
   */
  readonly probe?: string;
  /** Boots the kernel itself, without firmware: quicker. Words are added to its command line. */
  readonly direct?: boolean | string;
}

const commandLine =
  "console=tty0 console=ttyS0,115200 panic=10 quiet loglevel=4 systemd.gpt_auto=0 " +
  "systemd.firstboot=off lsm=lockdown,capability,landlock,yama fazt.appliance fazt.slot=a";

/** A new disk: a layer over the image in a file. */
export async function makeVmDisk(path: string, size = "4G"): Promise<string> {
  const { tools, raw } = await testImage();
  const backing = ["-b", raw, "-F", "raw"];
  await tools.run(["qemu-img", "create", "-q", "-f", "qcow2", ...backing, path, size]);
  return path;
}

/** A new disk that is a layer over another one, which nobody may write to from then on. */
export async function layVmDisk(path: string, over: string): Promise<string> {
  const { tools } = await testImage();
  const backing = ["-b", over, "-F", "qcow2"];
  await tools.run(["qemu-img", "create", "-q", "-f", "qcow2", ...backing, path]);
  return path;
}

/** Makes a disk larger, as a cloud does. */
export async function growVmDisk(path: string, size: string): Promise<void> {
  const { tools } = await testImage();
  await tools.run(["qemu-img", "resize", "-q", path, size]);
}

export class Vm implements AsyncDisposable {
  readonly serial: Serial;
  readonly dir: string;
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #errors: Promise<string>;
  #ports: ReadonlyMap<number, number> = new Map();

  constructor(child: Bun.Subprocess<"pipe", "pipe", "pipe">, dir: string) {
    this.#child = child;
    this.dir = dir;
    this.#errors = child.stderr.text();
    this.serial = new Serial(child.stdout, (keys) => {
      child.stdin.write(keys);
      child.stdin.flush();
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Resolves with the exit code when the machine is off. */
  get exited(): Promise<number> {
    return this.#child.exited;
  }

  /** `http://127.0.0.1:PORT`, leading to the machine's port 80. */
  get http(): string {
    return `http://127.0.0.1:${this.port(80)}`;
  }

  get https(): string {
    return `https://127.0.0.1:${this.port(443)}`;
  }

  port(guest: number): number {
    const port = this.#ports.get(guest);
    if (port === undefined) throw new Error(`port ${guest} of the machine is not forwarded`);
    return port;
  }

  /** Asks QEMU (QMP, its monitor's commands in people's words). */
  async ask(command: string): Promise<string> {
    const socket = createConnection(join(this.dir, "qmp"));
    const said = Promise.withResolvers<string>();
    let text = "";
    socket.on("error", said.reject);
    socket.on("data", (chunk) => {
      text += chunk;
      for (const line of text.split("\n").slice(0, -1)) {
        const { return: answer } = JSON.parse(line) as { return?: unknown };
        if (typeof answer === "string") said.resolve(answer);
      }
    });
    socket.write('{"execute":"qmp_capabilities"}\n');
    const argument = { "command-line": command };
    const words = { execute: "human-monitor-command", arguments: argument };
    socket.write(`${JSON.stringify(words)}\n`);
    try {
      return await said.promise;
    } finally {
      socket.destroy();
    }
  }

  /** Learns which ports QEMU picked. */
  async learnPorts(): Promise<void> {
    let table: string | null = null;
    while (table === null) {
      if (this.#child.exitCode !== null) throw new Error(`QEMU ended: ${await this.#errors}`);
      // The socket is there a moment before somebody listens.
      const there = existsSync(join(this.dir, "qmp"));
      table = there ? await this.ask("info usernet").catch(() => null) : null;
      if (table === null) await Bun.sleep(20);
    }
    const rows = table.matchAll(/HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)/g);
    this.#ports = new Map([...rows].map(([, host, guest]) => [Number(guest), Number(host)]));
  }

  /** Awaits the first answer of `/sys/health`, and gives it. */
  async up(timeoutMs = 180_000): Promise<{ status: string; mode: string; version: string }> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const answer = await fetch(`${this.http}/sys/health`, {
        signal: AbortSignal.timeout(2000),
      }).catch(() => null);
      if (answer?.ok === true) return (await answer.json()) as never;
      if (this.#child.exitCode !== null) throw new Error(`QEMU ended: ${await this.#errors}`);
      if (performance.now() > end) {
        throw new Error(`no answer in ${timeoutMs / 1000} s:\n${this.serial.text.slice(-3000)}`);
      }
      await Bun.sleep(100);
    }
  }

  /** What the probe printed, once it has ended. */
  async probed(timeoutMs = 180_000): Promise<string> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const text = await Bun.file(join(this.dir, "probe")).text();
      // The firmware writes to that line too, before.
      const begin = text.indexOf(probeBegin) + probeBegin.length;
      if (text.includes(probeEnd)) return text.slice(begin, text.indexOf(probeEnd)).trim();
      if (performance.now() > end) throw new Error(`the probe did not end: ${text}`);
      await Bun.sleep(100);
    }
  }

  /** Presses the power button, once, and awaits the orderly end. */
  async powerOff(timeoutMs = 120_000): Promise<void> {
    await this.ask("system_powerdown");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    const code = await this.exited;
    clearTimeout(late);
    if (code !== 0) {
      throw new Error(`the machine did not stop when asked:\n${this.serial.text.slice(-3000)}`);
    }
  }

  /**
   * Copies a disk of the machine as a power cut of this very moment would leave it: the machine is
   * held meanwhile, by the signal that nobody hears, and what it has not written is not in the copy.
   */
  async copyAsCut(disk: string, copy: string): Promise<void> {
    const pids = familyOf(this.pid);
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    try {
      await until("the machine is held", () => pids.every(isHeld));
      copyFileSync(disk, copy);
    } finally {
      for (const pid of pids) process.kill(pid, "SIGCONT");
    }
  }

  /** Cuts the power after some milliseconds, whatever the machine does then. */
  async cutAfter(lifeMs: number): Promise<void> {
    await Bun.sleep(lifeMs);
    await this.cut();
  }

  /** Cuts the power. */
  async cut(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
    // The machine goes with the program that holds it; its line is closed when it has gone.
    await this.serial.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cut();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A process and all that came from it. */
function familyOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  const pids = children === "" ? [] : children.split(" ").map(Number);
  return [pid, ...pids.flatMap(familyOf)];
}

/** Whether every thread of a process is stopped: one that writes ends its write first. */
function isHeld(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
  });
}

const probeBegin = "-- probe --";
const probeEnd = "-- end of probe --";

/** The credentials that bring a unit which runs the probe, as values of `-smbios`. */
function probeCredentials(dir: string, probe: string): string[] {
  const code = `console.log(${JSON.stringify(probeBegin)});\n${probe}\nconsole.log(${JSON.stringify(probeEnd)});`;
  const program = `await import("data:text/javascript;base64,${Buffer.from(code).toString("base64")}")`;
  const unit = [
    "[Unit]",
    "After=fazt.service multi-user.target",
    "[Service]",
    "Type=oneshot",
    "Environment=BUN_BE_BUN=1",
    `ExecStart=/usr/bin/fazt -e '${program}'`,
    "StandardOutput=file:/dev/ttyS1",
    "StandardError=file:/dev/ttyS1",
  ].join("\n");
  const credentials = {
    "systemd.extra-unit.probe.service": unit,
    "systemd.unit-dropin.multi-user.target": "[Unit]\nWants=probe.service\n",
  };
  return Object.entries(credentials).map(([name, text], i) => {
    const file = join(dir, `credential-${i}`);
    const value = Buffer.from(text).toString("base64");
    writeFileSync(file, `io.systemd.credential.binary:${name}=${value}`);
    return `type=11,path=${file}`;
  });
}

function directOf(image: Image, direct: NonNullable<VmOptions["direct"]>) {
  const { kernel, initrd } = image;
  const more = typeof direct === "string" ? ` ${direct}` : "";
  return { kernel, initrd, append: `${commandLine}${more}` };
}

/** Boots a machine; it is running, not yet up, when this returns. */
export async function bootVm(options: VmOptions = {}): Promise<Vm> {
  const image = await testImage();
  const dir = mkdtempSync(join(tmpdir(), "fazt-vm-"));
  const path = options.disk ?? (await makeVmDisk(join(dir, "disk.qcow2"), options.diskSize));
  const { bus = "virtio", memoryMb = 1024, cdrom, direct } = options;
  // There is no BIOS but on a PC.
  const firmware = image.tools.architecture === "amd64" ? (options.firmware ?? "bios") : "uefi";
  const probe = options.probe === undefined ? [] : probeCredentials(dir, options.probe);
  const smbios = [...(options.smbios ?? []), ...probe];
  const variables = join(dir, "variables");
  if (firmware === "uefi") {
    // Beside a disk that outlives the machine, as a board's own memory does.
    const kept = `${path}.variables`;
    if (!existsSync(kept))
      await image.tools.run(["cp", firmwareVariables(image.tools.architecture), kept]);
    copyFileSync(kept, variables);
  }
  const words = qemuWords({
    architecture: image.tools.architecture,
    firmware,
    disk: { path, format: "qcow2", bus },
    memoryMb,
    ...(options.processors === undefined ? {} : { processors: options.processors }),
    ports: options.network === false ? null : { 80: 0, 443: 0 },
    variables,
    control: join(dir, "qmp"),
    ...(cdrom === undefined ? {} : { cdrom }),
    smbios,
    watchdog: options.watchdog ?? false,
    secondSerial: join(dir, "probe"),
    ...(direct === undefined || direct === false ? {} : { direct: directOf(image, direct) }),
  });
  const child = Bun.spawn(image.tools.command(words), {
    stdio: ["pipe", "pipe", "pipe"],
  });
  const vm = new Vm(child, dir);
  try {
    await vm.learnPorts();
    return vm;
  } catch (error) {
    await vm[Symbol.asyncDispose]();
    throw error;
  }
}
