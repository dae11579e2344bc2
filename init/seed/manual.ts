/**
 * The manual page of the user-data document, `docs/user-data.md`: made of the schema, so that it
 * cannot say anything else. `npm run table` writes it, a test compares. Pure.
 */
import { z } from "zod";
import { Document, marker } from "./document.ts";

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
}

const opening = `# The user-data document

<!-- Made from init/seed/document.ts: npm run table -->

Whoever makes a machine can say what it is to become at its first boot: give it an owner without the wizard, a name, a
network, a replica, apps. The document is YAML or JSON whose first line is \`${marker}\`; documents for other programs
(\`#cloud-config\`, scripts) are passed over. It is applied once. When anything in it is wrong, nothing of it is applied:
the machine comes up unclaimed, and the console, \`fazt security seed\` and the log name the line.

\`\`\`yaml
${marker}
hostname: atlas
claim:
  passwordHash: $argon2id$v=19$m=19456,t=2,p=1$…   # fazt security hash
  domain: example.com
  email: me@example.com
network:
  links:
    - name: eth0
      ipv4: static
      addresses: [192.0.2.7/24]
      gateways: [192.0.2.1]
      dns: [192.0.2.53]
replica: {url: "s3://backups/atlas", region: eu-central-1, keyId: AKIA…, secret: …}
apps:
  - url: https://example.com/blog.cart
\`\`\`

## Where it is looked for

In this order; the first that is there is the one.

1. The system credential \`fazt.user-data\` (and \`fazt.network-config\`): with QEMU,
   \`-smbios type=11,value=io.systemd.credential.binary:fazt.user-data=BASE64\`.
2. A volume labelled \`CIDATA\` (NoCloud) with \`user-data\` and, if wanted, \`meta-data\` and \`network-config\`.
3. A config drive (\`config-2\`).
4. The metadata service of the cloud that the firmware names: DigitalOcean, Hetzner, Vultr, Linode, Amazon EC2,
   OpenStack. Nothing is asked of the network of a machine whose firmware names none of them.

Without any of them the wizard waits, as it does on every machine that is not claimed.

## Keys
`;

/** What a value is, in a word or two. */
function kindOf({ type, anyOf, items, enum: choices }: JsonSchema): string {
  if (choices !== undefined) return choices.map((one) => `\`${one}\``).join(" or ");
  if (anyOf !== undefined) {
    return [...new Set(anyOf.map(kindOf).filter((kind) => kind !== "null"))].join(" or ");
  }
  if (type === "array") return items?.properties === undefined ? "list of texts" : "list";
  const words: Readonly<Record<string, string>> = { string: "text", boolean: "yes or no" };
  return words[type ?? ""] ?? type ?? "";
}

/** The object a value holds or is a list of, or null. */
function objectOf({ properties, items, anyOf }: JsonSchema): JsonSchema | null {
  if (properties !== undefined) return { properties };
  if (items !== undefined) return objectOf(items);
  return anyOf?.map(objectOf).find((found) => found !== null) ?? null;
}

function defaultOf({ default: value }: JsonSchema): string {
  const told =
    value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
  return told && typeof value !== "object" ? `; else \`${JSON.stringify(value)}\`` : "";
}

/** The table of an object's keys, and after it those of the objects in it. */
function tableOf(name: string, schema: JsonSchema, required: readonly string[]): string {
  const rows = Object.entries(schema.properties ?? {});
  const lines = rows.map(([key, field]) => {
    const must = required.includes(key) ? " (needed)" : "";
    const about = (field.description ?? "").replaceAll("<", "&lt;");
    return `| \`${key}\`${must} | ${kindOf(field)} | ${about}${defaultOf(field)} |`;
  });
  const inner = rows.flatMap(([key, field]) => {
    const found = objectOf(field);
    const path = name === "" ? key : `${name}.${key}`;
    return found === null ? [] : [tableOf(path, found, innerRequired(field))];
  });
  const title = name === "" ? "" : `\n### \`${name}\`\n`;
  return [`${title}\n| key | value | what it is |\n| --- | --- | --- |`, ...lines, ...inner].join(
    "\n",
  );
}

function innerRequired(field: JsonSchema): readonly string[] {
  return field.required ?? field.items?.required ?? [];
}

/** The page. */
export function userDataManual(): string {
  const schema = z.toJSONSchema(Document, { io: "input", unrepresentable: "any" }) as JsonSchema;
  return `${opening}${tableOf("", schema, schema.required ?? [])}\n`;
}
