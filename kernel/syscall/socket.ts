/**
 * The control socket, `<data>/run/fazt.sock`: the HTTP bridge for whoever may open the file, which
 * is the owner (the directory is 0700, the socket 0600). A socket left by a kernel that was killed,
 * or that of one that hands over, is replaced in one step; the data directory's lock makes sure that
 * no other kernel is using it.
 */
import { chmodSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { localOwner } from "../caller.ts";
import { controlSocketPath } from "../data-dir.ts";
import { bodyBytesMax, refusalBytes } from "./limits.ts";
import type { Sys } from "./sys.ts";

export interface ControlSocket {
  readonly path: string;
  close(): Promise<void>;
}

/** Opens it; `asked` hears of each request. */
export function openControlSocket(
  dataDir: string,
  sys: Sys,
  asked: () => void = () => undefined,
): ControlSocket {
  const path = controlSocketPath(dataDir);
  // Under another name first, which the server forgets on its own: it removes by name, not by file.
  const draft = join(dirname(path), "fazt.new");
  rmSync(draft, { force: true });
  const channel = { address: null, secure: false, caller: localOwner("socket") };
  const server = Bun.serve({
    unix: draft,
    development: false,
    maxRequestBodySize: bodyBytesMax + refusalBytes,
    // A stream may say nothing for hours (set for a request alone, it was cut after 10 s all the same).
    // The runtime's types do not know it for a socket of this kind.
    ...({ idleTimeout: 0 } as object),
    fetch: (request) => {
      asked();
      return sys(request, new URL(request.url), channel);
    },
  });
  chmodSync(draft, 0o600);
  const { ino } = statSync(draft);
  renameSync(draft, path);
  return {
    path,
    close: async () => {
      await server.stop(true);
      // Another kernel's by now, when this one has handed over.
      if (statSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true });
    },
  };
}
