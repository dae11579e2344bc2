/** A part of a bucket in the tree: what is seen of it, by whose key, and what a store's absence does. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { drain, noise } from "../../../tests/fs.ts";
import { type TestKernel, testKernel } from "../../../tests/kernel.ts";
import { type S3, startS3 } from "../../../tests/s3.ts";
import type { Bytes } from "../../call.ts";
import type { Stat } from "../../fs/mod.ts";
import { realMachine } from "../../machine.ts";
import { BucketStore, BucketTree } from "./bucket.ts";

let s3: S3;
let k: TestKernel;
let client: Bun.S3Client;
const photo = noise(1_500_000, 9);
const source = () => `s3://${s3.bucket}/old`;

const bytes = async (path: string, range: object = {}): Promise<Uint8Array> =>
  drain((await k.call<Bytes>("fs.read", { path, ...range })).stream);
const text = async (path: string, range: object = {}) =>
  new TextDecoder().decode(await bytes(path, range));
const names = async (path: string, page: object = {}): Promise<string[]> =>
  (await k.call<Stat[]>("fs.ls", { path, ...page })).map((one) => one.path.slice(path.length + 1));
const fails = (code: string, made: Promise<unknown>) =>
  expect(made).rejects.toMatchObject({ code });

beforeAll(async () => {
  s3 = await startS3();
  const { endpoint, bucket, keyId, secret } = s3;
  const key = { accessKeyId: keyId, secretAccessKey: secret };
  client = new Bun.S3Client({ ...key, endpoint, bucket, region: "auto" });
  for (const name of ["a/1.txt", "a/deep/2.txt", "a-b", "z é+%20?#.txt", "empty"]) {
    await client.write(`old/${name}`, name === "empty" ? "" : `content of ${name}`);
  }
  await client.write("old/photo.jpg", photo);
  await client.write("other/secret", "not mounted");
  k = await testKernel();
});
afterAll(async () => {
  await k[Symbol.asyncDispose]();
  await s3[Symbol.asyncDispose]();
});

test("without a key of the replica, or with a bad name, it is refused", async () => {
  await fails("EINVAL", k.call("fs.mount", { source: source(), path: "/mnt/s3" }));
  const { endpoint, keyId, secret, bucket } = s3;
  await k.call("driver.replica.set", { url: `s3://${bucket}/fazt`, endpoint, keyId, secret });
  for (const bad of ["s3://", "s3://B", `s3://${bucket}/a//b`, `s3://${bucket}/../x`]) {
    await fails("EINVAL", k.call("fs.mount", { source: bad, path: "/mnt/s3" }));
  }
  const input = { source: source(), path: "/mnt/s3" };
  await fails("EINVAL", k.call("fs.mount", { ...input, writable: true }));
  await fails("EIO", k.call("fs.mount", { source: "s3://no-such-bucket/x", path: "/mnt/s3" }));
  const mounted = await k.call<object>("fs.mount", input);
  expect(mounted).toMatchObject({ kind: "s3", source: source(), state: "attached" });
});

test("directories and files, in order, a page at a time", async () => {
  expect(await names("/mnt/s3")).toEqual(["a", "a-b", "empty", "photo.jpg", "z é+%20?#.txt"]);
  expect(await names("/mnt/s3", { after: "a", limit: 2 })).toEqual(["a-b", "empty"]);
  expect(await names("/mnt/s3/a")).toEqual(["1.txt", "deep"]);
  expect(await k.call<Stat>("fs.stat", { path: "/mnt/s3/a" })).toMatchObject({ kind: "dir" });
  const stat = await k.call<Stat>("fs.stat", { path: "/mnt/s3/photo.jpg" });
  expect(stat).toMatchObject({ kind: "file", sizeBytes: photo.length });
  const du = await k.call<object>("fs.du", { path: "/mnt/s3" });
  expect(du).toMatchObject({ files: 6, directories: 2 });
});

test("content, and parts of it", async () => {
  expect(await text("/mnt/s3/a/deep/2.txt")).toBe("content of a/deep/2.txt");
  expect(await text("/mnt/s3/z é+%20?#.txt")).toBe("content of z é+%20?#.txt");
  expect(await text("/mnt/s3/a-b", { offset: 8, length: 2 })).toBe("of");
  expect(await text("/mnt/s3/empty")).toBe("");
  expect(Bun.hash(await bytes("/mnt/s3/photo.jpg"))).toBe(Bun.hash(photo));
});

test("what is not there, not a file, or not to be changed", async () => {
  await fails("ENOENT", k.call("fs.stat", { path: "/mnt/s3/none" }));
  await fails("ENOENT", k.call("fs.read", { path: "/mnt/s3/none" }));
  await fails("ENOENT", k.call("fs.ls", { path: "/mnt/s3/none" }));
  await fails("ENOTDIR", k.call("fs.ls", { path: "/mnt/s3/a-b" }));
  await fails("EISDIR", k.call("fs.read", { path: "/mnt/s3/a" }));
  const body = new Blob(["x"]).stream();
  await fails("EROFS", k.call("fs.write", { path: "/mnt/s3/new" }, { body }));
  await fails("EROFS", k.call("fs.rm", { path: "/mnt/s3/a-b" }));
});

test("an object that is replaced before it is read ends in an error", async () => {
  await client.write("old/changes", "one");
  const { stream } = await k.call<Bytes>("fs.read", { path: "/mnt/s3/changes" });
  await client.write("old/changes", "two");
  await fails("EIO", drain(stream));
});

test("a store that is away is an error, and back it is there, also after a restart", async () => {
  s3.fault = ({ path }) => (path.includes("old") ? "reset" : null);
  await fails("EIO", k.call("fs.read", { path: "/mnt/s3/a-b" }));
  const mounts = await k.call<{ path: string; state: string }[]>("fs.mounts");
  expect(mounts.find(({ path }) => path === "/mnt/s3")).toMatchObject({ state: "missing" });
  k = await k.reboot();
  expect(await k.call<Stat>("fs.stat", { path: "/mnt/s3" })).toMatchObject({ kind: "dir" });
  s3.fault = () => null;
  expect(await text("/mnt/s3/a-b")).toBe("content of a-b");
});

test("a listing of several pages is asked for to its end", async () => {
  const page = (body: string) =>
    `<?xml version="1.0"?><ListBucketResult>${body}</ListBucketResult>`;
  const object = (key: string) =>
    `<Contents><Key>${key}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>`;
  await using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) =>
      new Response(
        new URL(request.url).searchParams.get("continuation-token") === "next"
          ? page(`<IsTruncated>false</IsTruncated>${object("p/b")}${object("p/../x")}`)
          : page(
              "<IsTruncated>true</IsTruncated><NextContinuationToken>next</NextContinuationToken>" +
                `${object("p/")}${object("p/c")}<CommonPrefixes><Prefix>p/a/</Prefix></CommonPrefixes>` +
                "<CommonPrefixes><Prefix>p//</Prefix></CommonPrefixes>",
            ),
        { headers: { "content-type": "application/xml" } },
      ),
  });
  const key = { keyId: "k", secret: "s", region: "auto", endpoint: server.url.origin };
  const bucket = { kind: "s3", bucket: "bucket", prefix: "p", ...key } as const;
  const machine = realMachine();
  const tree = new BucketTree(machine, new BucketStore(machine, () => bucket));
  const found = await tree.ls("/", { after: "", limit: 10 });
  expect(found?.map(({ path }) => path)).toEqual(["/a", "/b", "/c"]);
});
