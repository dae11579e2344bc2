/**
 * The control socket, `<data>/run/fazt.sock`: the HTTP bridge for whoever may open the file, which
 * is the owner (the directory is 0700, the socket 0600). A socket left by a kernel that was killed
 * is replaced; the data directory's lock makes sure that no other kernel is using it.
 */
import { chmodSync, rmSync } from "node:fs";
import { localOwner } from "../caller.ts";
import { controlSocketPath } from "../data-dir.ts";
import { bodyBytesMax, refusalBytes } from "./limits.ts";
import type { Sys } from "./sys.ts";

export interface ControlSocket {
  readonly path: string;
  close(): Promise<void>;
}

/** Opens it. */
export function openControlSocket(dataDir: string, sys: Sys): ControlSocket {
  const path = controlSocketPath(dataDir);
  rmSync(path, { force: true });
  const channel = { address: null, secure: false, caller: localOwner("socket") };
  const server = Bun.serve({
    unix: path,
    development: false,
    maxRequestBodySize: bodyBytesMax + refusalBytes,
    // A stream may say nothing for hours (set for a request alone, it was cut after 10 s all the same).
    // The runtime's types do not know it for a socket of this kind.
    ...({ idleTimeout: 0 } as object),
    fetch: (request) => sys(request, new URL(request.url), channel),
  });
  chmodSync(path, 0o600);
  return {
    path,
    close: async () => {
      await server.stop(true);
      rmSync(path, { force: true });
    },
  };
}
