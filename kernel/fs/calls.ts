/**
 * fs's system calls: files of the tree, and the blobs a deploy uploads. What an app holds acts on
 * its own `/app` and `/data`.
 */
import { z } from "zod";
import { call } from "../call.ts";
import { limits } from "./limits.ts";
import { search, usage } from "./tree.ts";

const Path = z
  .string()
  .min(1)
  .max(limits.pathBytesMax)
  .describe('absolute path of the tree, such as "/home/notes.txt"');

const Hash = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in lower-case hex")
  .describe("SHA-256 of the bytes, lower-case hex");

const Stat = z
  .object({
    path: z.string().describe("absolute path"),
    kind: z.enum(["file", "dir"]).describe("what it is"),
    sizeBytes: z.int().describe("bytes; 0 for directories and pseudo files"),
    modifiedAt: z.int().describe("Unix ms of the last change"),
    hash: z.string().nullable().describe("SHA-256 of the bytes, null for what has no content"),
    mode: z.int().describe("Unix permission bits"),
  })
  .describe("one file or directory");

const everywhere = ["app", "http", "cli"] as const;

const stat = call({
  summary: "Describe a file or directory",
  input: z.object({ path: Path }),
  output: Stat,
  args: ["path"],
  surfaces: everywhere,
  needs: "fs:read",
  errors: ["ENOENT", "EIO"],
  effect: "read",
  examples: [{ say: "How large is the front page?", input: { path: "/apps/blog/index.html" } }],
  run: (kernel, { caller }, { path }) => kernel.fs.stat(caller, path),
});

const ls = call({
  summary: "List a directory, sorted by name, a page at a time",
  manual:
    "A page that is as long as its limit may not be the last: go on with after = its last name. " +
    "Names are in the order of their code points.",
  input: z.object({
    path: Path.default("/"),
    after: z
      .string()
      .max(limits.nameBytesMax)
      .default("")
      .describe("only names after this one: the last of the page before"),
    limit: z
      .int()
      .min(1)
      .max(limits.lsEntriesMax)
      .default(limits.lsEntriesMax)
      .describe("entries at most"),
  }),
  output: z.array(Stat),
  args: ["path"],
  surfaces: everywhere,
  needs: "fs:read",
  errors: ["ENOENT", "ENOTDIR", "EIO"],
  effect: "read",
  examples: [
    { say: "What is in my files?", input: { path: "/home" } },
    {
      say: "The next hundred photos",
      input: { path: "/home/photos", after: "0099.jpg", limit: 100 },
    },
  ],
  run: (kernel, { caller }, { path, after, limit }) => kernel.fs.ls(caller, path, { after, limit }),
});

const read = call({
  summary: "Read a file, or a part of it",
  input: z.object({
    path: Path,
    offset: z.int().min(0).default(0).describe("first byte"),
    length: z.int().min(0).optional().describe("bytes to read; to the end when left out"),
  }),
  output: z.void(),
  reply: "bytes",
  args: ["path"],
  aliases: ["fs cat"],
  surfaces: everywhere,
  needs: "fs:read",
  errors: ["ENOENT", "EISDIR", "EIO"],
  effect: "read",
  examples: [
    { say: "Show a note", input: { path: "/home/notes.txt" } },
    { say: "Its first line or so", input: { path: "/home/notes.txt", offset: 0, length: 80 } },
  ],
  run: (kernel, { caller }, { path, offset, length }) =>
    kernel.fs.read(caller, path, { offset, length: length ?? null }),
});

const write = call({
  summary: "Write a file whole; it is seen when all of it is on the disk",
  manual:
    "The bytes are the body of the call. The file that was there is replaced in one step; when " +
    "the body is cut, it stays as it was. The directory must be there.",
  input: z.object({ path: Path }),
  output: Stat,
  upload: true,
  args: ["path"],
  surfaces: everywhere,
  needs: "fs:write",
  errors: ["ENOENT", "ENOTDIR", "EISDIR", "EROFS", "EDQUOT", "EFBIG", "ENOSPC", "ERANGE", "EIO"],
  effect: "write",
  idempotent: true,
  examples: [{ say: "Keep a note", input: { path: "/home/notes.txt" } }],
  run: (kernel, { caller, body }, { path }) => kernel.fs.write(caller, path, body),
});

const mkdir = call({
  summary: "Make a directory",
  input: z.object({
    path: Path,
    parents: z
      .boolean()
      .default(false)
      .describe("make the directories above it too, and accept one that is there"),
  }),
  output: Stat,
  args: ["path"],
  surfaces: everywhere,
  needs: "fs:write",
  errors: ["ENOENT", "ENOTDIR", "EEXIST", "EROFS", "EDQUOT", "ENOSPC", "EIO"],
  effect: "write",
  examples: [{ say: "A place for photos", input: { path: "/home/photos/2026", parents: true } }],
  run: (kernel, { caller }, { path, parents }) => kernel.fs.mkdir(caller, path, { parents }),
});

const mv = call({
  summary: "Move or rename a file or directory",
  manual:
    "A file replaces a file, a directory only an empty directory. Between two file systems it " +
    "is a copy followed by a removal: when that fails half-way, the source is still whole.",
  input: z.object({
    from: Path.describe("absolute path of what is moved"),
    to: Path.describe("absolute path it gets"),
  }),
  output: Stat,
  args: ["from", "to"],
  surfaces: everywhere,
  needs: "fs:write",
  errors: ["ENOENT", "ENOTDIR", "EISDIR", "ENOTEMPTY", "EBUSY", "EROFS", "EDQUOT", "ENOSPC", "EIO"],
  effect: "write",
  examples: [{ say: "Rename a note", input: { from: "/home/a.txt", to: "/home/b.txt" } }],
  run: (kernel, { caller }, { from, to }) => kernel.fs.mv(caller, from, to),
});

const cp = call({
  summary: "Copy a file, or a directory with everything in it, within the tree",
  input: z.object({
    from: Path.describe("absolute path of what is copied"),
    to: Path.describe("absolute path of the copy"),
  }),
  output: Stat,
  args: ["from", "to"],
  needs: "fs:write",
  errors: ["ENOENT", "ENOTDIR", "EISDIR", "EROFS", "EDQUOT", "ENOSPC", "ERANGE", "EIO"],
  effect: "write",
  idempotent: true,
  examples: [{ say: "Keep an app's page", input: { from: "/apps/blog", to: "/home/blog" } }],
  run: (kernel, { caller }, { from, to }) => kernel.fs.cp(caller, from, to),
});

const rm = call({
  summary: "Remove a file or directory",
  input: z.object({
    path: Path,
    recursive: z.boolean().default(false).describe("remove a directory with everything in it"),
  }),
  output: z.object({ removed: z.int().describe("files and directories removed") }),
  args: ["path"],
  surfaces: everywhere,
  needs: "fs:write",
  errors: ["ENOENT", "ENOTEMPTY", "EBUSY", "EROFS", "ENOSPC", "EIO"],
  effect: "destroy",
  examples: [{ say: "Remove old photos", input: { path: "/home/photos", recursive: true } }],
  run: (kernel, { caller }, { path, recursive }) => kernel.fs.rm(caller, path, { recursive }),
});

const du = call({
  summary: "Count what a directory holds, with everything below it",
  manual:
    "Directories below it that cannot be read, such as a mount whose disk is gone, are left out.",
  input: z.object({ path: Path.default("/home") }),
  output: z.object({
    path: z.string().describe("absolute path"),
    files: z.int().describe("files"),
    directories: z.int().describe("directories below it"),
    sizeBytes: z.int().describe("bytes of all files, each counted where it is named"),
  }),
  args: ["path"],
  needs: "fs:read",
  errors: ["ENOENT", "ECANCELED", "EIO"],
  effect: "read",
  examples: [{ say: "How much do I keep?", input: { path: "/home" } }],
  run: (kernel, { caller, signal }, { path }) =>
    usage(path, kernel.fs.walk(caller, path, signal), signal),
});

const find = call({
  summary: "List everything below a directory, depth first",
  manual:
    "Directories below it that cannot be read, such as a mount whose disk is gone, are left out.",
  input: z.object({
    path: Path.default("/"),
    name: z.string().max(255).optional().describe('only names that match, such as "*.html"'),
  }),
  output: Stat,
  reply: "lines",
  args: ["path"],
  needs: "fs:read",
  errors: ["ENOENT", "EIO"],
  effect: "read",
  examples: [{ say: "All pages", input: { path: "/apps", name: "*.html" } }],
  run: (kernel, { caller, signal }, { path, name }) =>
    search(kernel.fs, caller, { path, name, signal }),
});

const Mount = z
  .object({
    path: z.string().describe("where it is in the tree"),
    kind: z.enum(["built-in", "directory", "cartridge", "s3"]).describe("what it is"),
    source: z
      .string()
      .nullable()
      .describe("what is mounted: a path of the host, vfs:PATH, or s3://BUCKET/PREFIX"),
    writable: z
      .boolean()
      .nullable()
      .describe("whether files may be changed; null: each entry has its own say"),
    state: z.enum(["attached", "missing"]).describe("missing: its source is not there now"),
    problem: z.string().nullable().describe("why it is missing, null when it is not"),
  })
  .describe("one mount");

const mount = call({
  summary: "Attach a directory of the host, a cartridge, or a part of a bucket, below /mnt",
  manual:
    "A source is an absolute path on the machine's host, vfs:PATH for a cartridge that is in the " +
    "tree, or s3://BUCKET/PREFIX with the key of the replica (driver replica set). It stays until it is detached, over restarts; whoever may read the tree reads it. Of a " +
    "directory, files and directories are seen: links are never followed, what else is mounted below " +
    "it is not entered, and the machine's own data is refused. A cartridge is taken in at once (app/, " +
    "data/ and about.json), and its file may go. A source that is missing at a start keeps nothing " +
    "from starting: fs mounts says so, and reading it is EIO until it is back.",
  input: z.object({
    source: z.string().min(1).max(limits.pathBytesMax).describe("what is attached"),
    path: Path.describe("where: a path below /mnt that nothing is mounted at"),
    writable: z.boolean().default(false).describe("let files of the directory be changed"),
  }),
  output: Mount,
  args: ["source", "path"],
  // Not of fs: who may write files of the tree has no right to the whole host.
  needs: "machine:mount",
  errors: ["ENOENT", "EBUSY", "EBADMSG", "EIO"],
  effect: "write",
  examples: [
    { say: "Look at the host's photos", input: { source: "/srv/photos", path: "/mnt/photos" } },
    {
      say: "Work on a folder of the host",
      input: { source: "/srv/site", path: "/mnt/site", writable: true },
    },
    { say: "Look at old backups", input: { source: "s3://backups/2025", path: "/mnt/2025" } },
    {
      say: "Look into a cartridge before it is imported",
      input: { source: "vfs:/home/blog.cart", path: "/mnt/blog" },
    },
  ],
  run: ({ fs }, { caller }, { source, path, writable }) =>
    fs.fstab.mount({ caller, source, path, writable }),
});

const umount = call({
  summary: "Detach what was mounted; who reads from it reads to the end",
  input: z.object({ path: Path.describe("where it is mounted") }),
  output: z.object({ path: z.string().describe("where it was") }),
  args: ["path"],
  needs: "machine:mount",
  errors: [],
  effect: "write",
  examples: [{ say: "Detach it", input: { path: "/mnt/photos" } }],
  run: ({ fs }, _invocation, { path }) => fs.fstab.umount(path),
});

const mounts = call({
  summary: "List what the tree is put together of, and what of it is missing",
  input: z.object({}),
  output: z.array(Mount),
  needs: "fs:read",
  errors: [],
  effect: "read",
  examples: [{ say: "Is the disk with the photos there?", input: {} }],
  run: ({ fs }) => fs.fstab.ls(),
});

const blob = {
  missing: call({
    summary: "Say which of these blobs are not stored yet",
    manual: "What is stored stays stored for an hour, for the deploy that asked.",
    input: z.object({
      hashes: z.array(Hash).max(limits.missingHashesMax).describe("SHA-256 of each file"),
    }),
    output: z.object({ missing: z.array(z.string()).describe("those to upload, in their order") }),
    surfaces: ["http"],
    needs: "app:deploy",
    errors: [],
    effect: "read",
    examples: [
      {
        say: "Is the empty file there?",
        input: {
          hashes: ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
        },
      },
    ],
    run: (kernel, _invocation, { hashes }) => ({ missing: kernel.fs.blobs.missing(hashes) }),
  }),

  put: call({
    summary: "Store the body of the call under its SHA-256",
    input: z.object({
      hash: Hash.optional().describe("what the body must hash to; whatever it does when left out"),
    }),
    output: z.object({
      hash: z.string().describe("SHA-256 of the body, lower-case hex"),
      sizeBytes: z.int().describe("bytes"),
      stored: z.boolean().describe("false when it was stored before"),
    }),
    upload: true,
    surfaces: ["http"],
    needs: "app:deploy",
    errors: ["EBADMSG", "EFBIG", "ENOSPC"],
    effect: "write",
    idempotent: true,
    examples: [{ say: "Upload a file of a release", input: {} }],
    run: (kernel, { body }, { hash }) => kernel.fs.blobs.put({ hash: hash ?? null }, body),
  }),

  putMany: call({
    summary: "Store many blobs from one body",
    manual:
      "The body is a row of frames: 32 bytes SHA-256, 4 bytes length (unsigned, big endian), " +
      "then that many bytes. Each is verified; what came before a frame that is wrong is kept.",
    input: z.object({}),
    output: z.object({
      stored: z.int().describe("blobs that were new"),
      known: z.int().describe("blobs that were stored before"),
      sizeBytes: z.int().describe("bytes of content received"),
    }),
    upload: true,
    surfaces: ["http"],
    needs: "app:deploy",
    errors: ["EBADMSG", "EFBIG", "ENOSPC"],
    effect: "write",
    idempotent: true,
    examples: [{ say: "Upload the small files of a release", input: {} }],
    run: (kernel, { body }) => kernel.fs.blobs.putMany(body),
  }),
};

/** The calls of fs. */
export const fs = {
  stat,
  ls,
  read,
  write,
  mkdir,
  mv,
  cp,
  rm,
  du,
  find,
  mount,
  umount,
  mounts,
  blob,
};
