/**
 * A machine of 512 MB runs three apps, with the whole sandbox: where the kernel counts memory, an
 * app that takes without end is ended at its limit, is told so with its peak, and nobody else
 * notices.
 */
import { expect, test } from "bun:test";
import { call, claim, deploy, visit } from "./owner.ts";
import { bootVm } from "./vm.ts";

const neighbour = 'export default { fetch: () => new Response("here") };\n';
const greedy = `const kept = [];
export default {
  fetch(request) {
    if (new URL(request.url).pathname === "/") return new Response("here");
    for (;;) kept.push(new Uint8Array(4 * 1024 * 1024).fill(1));
  },
};
`;

interface Status {
  readonly name: string;
  readonly state: string;
  readonly reason: string | null;
}

test("512 MB run three apps; one that takes all memory is ended at its limit", async () => {
  await using vm = await bootVm({ memoryMb: 512, direct: true });
  expect(await vm.up(300_000)).toMatchObject({ status: "ok" });
  const token = await claim(vm);
  for (const name of ["one", "two"]) await deploy(vm, token, { name, server: neighbour });
  await deploy(vm, token, { name: "greedy", server: greedy });
  for (const app of ["one", "two", "greedy"]) {
    expect(await (await visit(vm, app)).text()).toBe("here");
  }
  const health = await (await fetch(`${vm.http}/sys/health`)).json();
  expect(health).toMatchObject({ isolation: "full" });

  const end = await visit(vm, "greedy", "/all");
  expect(end.status).toBe(502);
  for (const app of ["one", "two"]) expect(await (await visit(vm, app)).text()).toBe("here");
  const list = await call(vm, "/sys/proc/ls", { token });
  const status = ((await list.json()) as Status[]).find(({ name }) => name === "greedy");
  expect(status?.reason).toMatch(/out of memory: it used \d+ MB and may use 1\d\d MB/);
}, 600_000);
