/**
 * What is on a disk, partition by partition, as sums: so that a test can say that nothing was
 * written where nothing may be.
 */
import { createReadStream, rmSync } from "node:fs";
import { testImage } from "./image.ts";

interface Table {
  readonly partitiontable: {
    readonly sectorsize: number;
    readonly partitions: readonly {
      readonly name: string;
      readonly start: number;
      readonly size: number;
    }[];
  };
}

async function sumOf(path: string, start: number, bytes: number): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  const options = { start, end: start + bytes - 1, highWaterMark: 1 << 20 };
  for await (const chunk of createReadStream(path, options)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

/** SHA-256 of every partition but the data's, by name; the disk is a layer over the image. */
export async function partitionSums(disk: string): Promise<Readonly<Record<string, string>>> {
  const { tools, raw } = await testImage();
  const flat = disk === raw ? raw : `${disk}.flat`;
  if (flat !== raw) await tools.run(["qemu-img", "convert", "-O", "raw", disk, flat]);
  try {
    const { partitiontable } = JSON.parse(await tools.run(["sfdisk", "-J", flat])) as Table;
    const sums: Record<string, string> = {};
    for (const { name, start, size } of partitiontable.partitions) {
      if (name === "fazt-data") continue;
      const [at, bytes] = [start, size].map((sectors) => sectors * partitiontable.sectorsize);
      sums[name] = await sumOf(flat, at ?? 0, bytes ?? 0);
    }
    return sums;
  } finally {
    if (flat !== raw) rmSync(flat);
  }
}
