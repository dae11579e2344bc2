/**
 * Deploys files given as texts into a kernel of a test, by the calls that `fazt app deploy` makes.
 */
import type { TestKernel } from "./kernel.ts";

/** A server that answers everything with "ok". */
export const okServer = 'export default { fetch: () => new Response("ok") };\n';

/** What `app.deploy` answers, as far as tests look at it. */
export interface Deployed {
  readonly app: string;
  readonly id: string;
  readonly release: string;
  readonly number: number;
}

/** Stores texts and answers them as `app.deploy` wants its files. */
export async function storedFiles(k: Pick<TestKernel, "call">, files: Record<string, string>) {
  return Promise.all(
    Object.entries(files).map(async ([path, text]) => {
      const body = new Blob([text]).stream();
      const blob = await k.call<{ hash: string; sizeBytes: number }>("fs.blob.put", {}, { body });
      return { path, hash: blob.hash, sizeBytes: blob.sizeBytes };
    }),
  );
}

/** Makes a release of `name` out of texts. */
export async function deployed(
  k: Pick<TestKernel, "call">,
  name: string,
  app: { files: Record<string, string>; manifest?: object; signal?: AbortSignal },
): Promise<Deployed> {
  const { signal, manifest = {} } = app;
  const files = await storedFiles(k, app.files);
  const options = signal === undefined ? {} : { signal };
  return k.call<Deployed>("app.deploy", { name, manifest, files }, options);
}
