/**
 * The interfaces of DNS providers as far as we use them, each in a few lines over the same records:
 * what is set through one can be read here. They refuse a wrong token, and know one zone.
 */
export interface Simulator extends AsyncDisposable {
  readonly base: string;
  readonly token: string;
  /** Values of TXT records by full name, without quotes. */
  values(name: string): string[];
  /** Answers everything with this status from now on; null: as it should. */
  failWith(status: number | null): void;
}

type Handle = (request: Request, path: string[], body: unknown) => Response | null;

const json = (value: unknown, status = 200): Response => Response.json(value as object, { status });

/** Records by name; a value may be there once. */
class Records {
  readonly byName = new Map<string, string[]>();
  get(name: string): string[] {
    return this.byName.get(name) ?? [];
  }
  set(name: string, values: readonly string[]): void {
    if (values.length === 0) this.byName.delete(name);
    else this.byName.set(name, [...values]);
  }
}

function serve(records: Records, scheme: string, handle: Handle): Simulator {
  const token = "s3cret-token";
  let failing: number | null = null;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    fetch: async (request) => {
      if (failing !== null) return json({ error: "out of order" }, failing);
      if (request.headers.get("authorization") !== `${scheme} ${token}`) {
        return json({ error: "bad token" }, 403);
      }
      const path = new URL(request.url).pathname.split("/").filter((part) => part !== "");
      const text = await request.text();
      const answer = handle(request, path, text === "" ? null : JSON.parse(text));
      return answer ?? json({ error: "not found" }, 404);
    },
  });
  return {
    base: `http://127.0.0.1:${server.port}`,
    token,
    values: (name) => records.get(name).map((value) => value.replace(/^"|"$/g, "")),
    failWith: (status) => {
      failing = status;
    },
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

/** Cloudflare, API v4: records have ids. */
export function simulateCloudflare(zone: string): Simulator {
  const records = new Records();
  const idOf = (name: string, value: string) => Buffer.from(`${name} ${value}`).toString("hex");
  return serve(records, "Bearer", (request, [, id, kind, record], body) => {
    const { searchParams } = new URL(request.url);
    if (id === undefined) {
      return json({ result: searchParams.get("name") === zone ? [{ id: "z1", name: zone }] : [] });
    }
    if (id !== "z1" || kind !== "dns_records") return null;
    if (request.method === "GET") {
      const name = searchParams.get("name") ?? "";
      const result = records.get(name).map((content) => ({ id: idOf(name, content), content }));
      return json({ result });
    }
    if (request.method === "POST") {
      const { name, content } = body as { name: string; content: string };
      if (records.get(name).includes(content)) return json({ errors: ["already exists"] }, 400);
      records.set(name, [...records.get(name), content]);
      return json({ result: { id: idOf(name, content) } });
    }
    const [name = "", value = ""] = Buffer.from(record ?? "", "hex")
      .toString()
      .split(" ");
    if (!records.get(name).includes(value)) return null;
    records.set(
      name,
      records.get(name).filter((one) => one !== value),
    );
    return json({ result: { id: record } });
  });
}

const fullName = (below: string, zone: string) => (below === "@" ? zone : `${below}.${zone}`);

/** Hetzner, Cloud API v1: sets of records, changed by actions. */
export function simulateHetzner(zone: string): Simulator {
  const records = new Records();
  return serve(records, "Bearer", (request, [, id, , below = "", , , action], body) => {
    if (id !== zone) return null;
    if (below === "") return json({ zone: { id: 1, name: zone } });
    const name = fullName(below, zone);
    const before = records.get(name);
    if (request.method === "GET") {
      if (before.length === 0) return null;
      return json({ rrset: { records: before.map((value) => ({ value })) } });
    }
    const values = (body as { records: { value: string }[] }).records.map(({ value }) => value);
    const there = values.every((value) => before.includes(value));
    if (there === (action === "add_records")) return json({ error: "invalid_input" }, 422);
    if (!values.every((value) => /^".*"$/.test(value))) return json({ error: "quotes" }, 422);
    const after = before.filter((value) => !values.includes(value));
    records.set(name, action === "add_records" ? [...before, ...values] : after);
    return json({ action: { status: "running" } }, 201);
  });
}

/** deSEC, API v1: a set of records is written whole. */
export function simulateDesec(zone: string): Simulator {
  const records = new Records();
  return serve(records, "Token", (request, [, id, kind, below], body) => {
    if (id !== zone) return null;
    if (kind === undefined) return json({ name: zone });
    if (request.method === "GET") {
      const found = records.get(fullName(below ?? "@", zone));
      return found.length === 0 ? null : json({ records: found });
    }
    for (const set of body as { subname: string; ttl: number; records: string[] }[]) {
      if (set.ttl < 3600) return json({ ttl: ["at least 3600"] }, 400);
      records.set(fullName(set.subname === "" ? "@" : set.subname, zone), set.records);
    }
    return json(body);
  });
}
