/**
 * The image as a machine, from firmware on: one disk lives through both firmwares, four kinds of
 * bus, a larger disk, little memory, a forgotten password and its end. QEMU without acceleration, so
 * one machine proves many things.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch, openPage } from "../browser/chromium.ts";
import { owner } from "../browser/machine.ts";
import { answer } from "../browser/wizard.ts";
import { program, run, until } from "../process.ts";
import { testImage } from "./image.ts";
import { visit } from "./owner.ts";
import { partitionSums } from "./partition.ts";
import { bootVm, growVmDisk, makeVmDisk, type Vm } from "./vm.ts";

const notesApp = fileURLToPath(new URL("../fixtures/apps/notes", import.meta.url));
const newPass = "seven lamps violin moss";
const bootMsMax = 300_000;

/** Tells what must be so in every machine that is up. */
const probe = `
import { readFileSync, statfsSync } from "node:fs";
const run = (...words) => Bun.spawnSync(words).stdout.toString().trim();
const disk = statfsSync("/var/lib/fazt");
console.log(JSON.stringify({
  failed: run("systemctl", "--failed", "--no-legend", "--plain"),
  tainted: readFileSync("/proc/sys/kernel/tainted", "utf8").trim(),
  dataBytes: disk.blocks * disk.bsize,
  mounts: readFileSync("/proc/mounts", "utf8").trim().split("\\n"),
  machineId: readFileSync("/etc/machine-id", "utf8").trim(),
  // Starts of the door and of the network, microseconds after the kernel's.
  started: ["fazt-firewall.service", "systemd-networkd.service"].map((unit) =>
    Number(run("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", unit))),
}));
`;

interface Probed {
  readonly failed: string;
  readonly tainted: string;
  readonly dataBytes: number;
  readonly mounts: readonly string[];
  readonly machineId: string;
  readonly started: readonly number[];
}

let dir: string;
let disk: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "fazt-disk-"));
  disk = await makeVmDisk(join(dir, "disk.qcow2"));
}, bootMsMax);
afterAll(() => rmSync(dir, { recursive: true }));

/** The owner's command, on another computer, over the forwarded port; answers its JSON. */
async function fazt<T>(vm: Vm, args: readonly string[], password = ""): Promise<T> {
  const url = `http://os.localhost:${vm.port(80)}`;
  const at = password === "" ? ["--host", url] : [];
  const words = password === "" ? args : [...args, url];
  const env = { PATH: process.env["PATH"] ?? "", HOME: dir, FAZT_DATA: join(dir, "none") };
  const ended = await run([...program, ...words, ...at, "--json"], { env, stdin: password });
  expect([ended.stderr, ended.code]).toEqual(["", 0]);
  return JSON.parse(ended.stdout) as T;
}

const login = (vm: Vm, password: string) => fazt(vm, ["security", "login"], password);

/** What is right in every machine; answers what else it tells. */
async function sound(vm: Vm): Promise<Probed> {
  const found = JSON.parse(await vm.probed()) as Probed;
  expect(found).toMatchObject({ failed: "", tainted: "0" });
  const written = found.mounts
    .map((line) => line.split(" "))
    .filter(([from = "", , , options = ""]) => from.startsWith("/dev/") && /^rw/.test(options));
  const places = written.map(([, place]) => place).sort();
  // One place by two names: what is mounted below the one is below the other too.
  const slots = ["/data/fazt/slots", "/var/lib/fazt/slots"];
  expect(places).toEqual(["/data", "/var/lib/fazt", "/var/log/journal", ...slots].sort());
  const runs = written.filter(([, , , options = ""]) => !options.split(",").includes("noexec"));
  expect(runs.map(([, place]) => place).sort()).toEqual(slots);
  const [door = 0, road = 0] = found.started;
  expect(door).toBeGreaterThan(0);
  expect(door).toBeLessThanOrEqual(road);
  return found;
}

/** A page of an app; a slow machine may need more than one request's patience to start it. */
async function page(vm: Vm, app: string, path = "/"): Promise<Response> {
  return await until(
    `${app}${path}`,
    async () => {
      const answer = await visit(vm, app, path).catch(() => null);
      return answer?.ok === true ? answer : null;
    },
    180_000,
  );
}

const texts = async (vm: Vm) =>
  ((await (await page(vm, "notes", "/api/notes")).json()) as { text: string }[]).map(
    ({ text }) => text,
  );

async function note(vm: Vm, text: string): Promise<void> {
  const answered = await fetch(`${vm.http}/api/notes`, {
    method: "POST",
    headers: { host: "notes.localhost", "content-type": "application/json" },
    body: JSON.stringify({ text }),
  });
  expect(answered.status).toBe(201);
}

let dataBytes = 0;
let machineId = "";

test("BIOS: claimed by the wizard in a browser, and serves a full-stack app", async () => {
  await using vm = await bootVm({ firmware: "bios", disk, probe });
  expect(await vm.up(bootMsMax)).toMatchObject({ status: "ok", mode: "setup" });
  const [, code] = await vm.serial.expect(/Setup code\W+([A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4})/);
  const browser = await launch();
  try {
    await using wizard = await openPage(browser);
    wizard.page.setDefaultTimeout(120_000);
    await wizard.page.goto(`${vm.http}/`);
    await answer(wizard.page, code ?? "");
    await wizard.page.locator("#next").click();
    await wizard.page.locator("#done").waitFor();
    await wizard.page.locator("#open").click();
    await wizard.page.locator("#shell").waitFor();
    expect(wizard.problems).toEqual([]);
  } finally {
    await browser.close();
  }
  await login(vm, owner.rootPass);
  await fazt(vm, ["app", "deploy", notesApp]);
  await texts(vm);
  await note(vm, "from BIOS");
  expect(await (await page(vm, "notes")).text()).toContain("<html");
  ({ dataBytes, machineId } = await sound(vm));
  // The board gives none.
  expect(machineId).toMatch(/^[0-9a-f]{32}$/);
  await vm.powerOff();
  expect(vm.serial.text).toContain("[ stop ] stopped in");
}, 900_000);

test("UEFI, SCSI, a disk grown to 8 GiB: everything is still there, the app takes a new release", async () => {
  await growVmDisk(disk, "8G");
  await using vm = await bootVm({ firmware: "uefi", bus: "scsi", disk, probe });
  await vm.up(bootMsMax);
  expect(await texts(vm)).toEqual(["from BIOS"]);
  await login(vm, owner.rootPass);
  await fazt(vm, ["app", "deploy", notesApp, "--message", "again"]);
  await texts(vm);
  await note(vm, "from UEFI");
  expect(await texts(vm)).toContain("from UEFI");
  const found = await sound(vm);
  expect(found.dataBytes - dataBytes).toBeGreaterThan(3.8e9);
  expect(found.machineId).toBe(machineId);
  await vm.powerOff();
}, 900_000);

test("NVMe, 256 MB: serves a static site", async () => {
  const site = join(dir, "site");
  mkdirSync(site);
  writeFileSync(join(site, "index.html"), "<h1>small</h1>");
  await using vm = await bootVm({ bus: "nvme", disk, probe, memoryMb: 256 });
  await vm.up(bootMsMax);
  await login(vm, owner.rootPass);
  await fazt(vm, ["app", "deploy", site, "--name", "site"]);
  expect(await (await page(vm, "site")).text()).toBe("<h1>small</h1>");
  expect((await sound(vm)).machineId).toBe(machineId);
  await vm.powerOff();
}, 900_000);

test("the boot menu's recovery replaces the root password, which is on record; then all is erased", async () => {
  await using vm = await bootVm({ disk });
  // The menu stands a second, unless a key is pressed: these wait in the line until it is there.
  vm.serial.type("\x1b[A".repeat(20));
  await vm.serial.expect(/fazt, recovery/, bootMsMax);
  vm.serial.type("\x1b[B\r");
  await vm.serial.expect(/1 +Set a new root password/, bootMsMax);
  vm.serial.type("1");
  await vm.serial.expect(/[Pp]assword/);
  vm.serial.type(`${newPass}\r`);
  await vm.serial.expect(/Once more/);
  vm.serial.type(`${newPass}\r`);
  await vm.serial.expect(/Done/);
  vm.serial.type("\r");
  await vm.serial.expect(/Enter log in/);
  await vm.up(bootMsMax);
  await login(vm, newPass);
  const { recoveredAt } = await fazt<{ recoveredAt: number | null }>(vm, ["security", "owner"]);
  expect(recoveredAt).toBeGreaterThan(0);
  const records = await fazt<{ call: string }[]>(vm, ["security", "audit"]);
  expect(records.map(({ call }) => call)).toContain("security.recover");
  expect(await texts(vm)).toContain("from UEFI");

  vm.serial.type("\r");
  await vm.serial.expect(/Root password/);
  vm.serial.type(`${newPass}\r`);
  await vm.serial.expect(/fazt> /);
  vm.serial.type('proc reset --confirm "erase everything"\r');
  await vm.serial.expect(/Setup code +[A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4}/, bootMsMax);
  // The console waits for no network.
  expect(await vm.up(bootMsMax)).toMatchObject({ mode: "setup" });
  expect((await visit(vm, "notes", "/api/notes")).status).not.toBe(200);
  await vm.powerOff();
}, 900_000);

test("none of them has written outside of the data partition", async () => {
  const image = await partitionSums((await testImage()).raw);
  const lived = await partitionSums(disk);
  expect(lived).toMatchObject(image);
  const empty = new Bun.CryptoHasher("sha256").update(new Uint8Array(512 << 20)).digest("hex");
  expect(lived).toEqual({ ...image, "fazt-root-b": empty });
}, 300_000);
