/**
 * The numbers by which the Linux kernel knows files: given when a name is looked up, kept until it has
 * forgotten them as often as it looked. 1 is the root and stays.
 */
const root = 1;

interface Node {
  readonly path: string;
  lookups: number;
}

export class Nodes {
  readonly #nodes = new Map<number, Node>([[root, { path: "/", lookups: 1 }]]);
  readonly #byPath = new Map<string, number>([["/", root]]);
  #last = root;

  /** The path of a node, or null when it is forgotten. */
  path(node: number): string | null {
    return this.#nodes.get(node)?.path ?? null;
  }

  /** The node of a path, looked up once more. */
  lookUp(path: string): number {
    const known = this.#byPath.get(path);
    const node = known === undefined ? undefined : this.#nodes.get(known);
    if (known !== undefined && node !== undefined) {
      node.lookups += 1;
      return known;
    }
    this.#last += 1;
    this.#nodes.set(this.#last, { path, lookups: 1 });
    this.#byPath.set(path, this.#last);
    return this.#last;
  }

  forget(node: number, times: number): void {
    const found = this.#nodes.get(node);
    if (found === undefined || node === root) return;
    found.lookups -= times;
    if (found.lookups > 0) return;
    this.#nodes.delete(node);
    this.#byPath.delete(found.path);
  }

  /** Nodes that are known. */
  size(): number {
    return this.#nodes.size;
  }
}
