/**
 * Runs s3rver, an S3 server that is not ours, on a free port of 127.0.0.1 under Node:
 * `node s3-server.mjs DIRECTORY BUCKET`. Prints its port, and ends when standard input does.
 *
 * One defect of it is mended here: a listing by delimiter leaves out prefixes whose objects are
 * more than one folder further down (it does not walk that far).
 */
import S3rver from "s3rver";

const [, , directory = "", bucket = ""] = process.argv;
const server = new S3rver({
  directory,
  address: "127.0.0.1",
  port: 0,
  silent: true,
  configureBuckets: [{ name: bucket, configs: [] }],
});
const { store } = server.context;
const listObjects = store.listObjects.bind(store);
store.listObjects = async (name, options) => {
  const { delimiter, prefix = "" } = options;
  if (!delimiter) return listObjects(name, options);
  const all = await listObjects(name, { ...options, delimiter: "", maxKeys: 1e9 });
  const folders = new Set();
  const objects = all.objects.filter(({ key }) => {
    const end = key.indexOf(delimiter, prefix.length);
    if (end >= 0) folders.add(key.slice(0, end + delimiter.length));
    return end < 0;
  });
  return { objects, commonPrefixes: [...folders].sort(), isTruncated: false };
};
const { port } = await server.run();
console.log(port);
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
