/**
 * File name ending → media type, and which types are worth compressing. A table of our own: the
 * endings the web serves, with `charset=utf-8` for text (WHATWG MIME sniffing is switched off by
 * `nosniff`, so a wrong entry is visible at once).
 */
const text = {
  text: "text/plain",
  html: "text/html",
  css: "text/css",
  javascript: "text/javascript",
  csv: "text/csv",
  markdown: "text/markdown",
  xml: "application/xml",
} as const;

const endings: Readonly<Record<string, string>> = {
  html: text.html,
  htm: text.html,
  xhtml: "application/xhtml+xml",
  css: text.css,
  js: text.javascript,
  mjs: text.javascript,
  cjs: text.javascript,
  jsx: text.javascript,
  ts: text.text,
  tsx: text.text,
  txt: text.text,
  log: text.text,
  ini: text.text,
  conf: text.text,
  sh: text.text,
  sql: text.text,
  csv: text.csv,
  tsv: "text/tab-separated-values",
  md: text.markdown,
  ics: "text/calendar",
  vcf: "text/vcard",
  vtt: "text/vtt",
  yaml: "application/yaml",
  yml: "application/yaml",
  toml: "application/toml",
  json: "application/json",
  map: "application/json",
  json5: "application/json5",
  jsonld: "application/ld+json",
  geojson: "application/geo+json",
  ndjson: "application/x-ndjson",
  jsonl: "application/x-ndjson",
  webmanifest: "application/manifest+json",
  xml: text.xml,
  xsl: text.xml,
  rss: "application/rss+xml",
  atom: "application/atom+xml",
  svg: "image/svg+xml",
  wasm: "application/wasm",
  pdf: "application/pdf",
  rtf: "application/rtf",
  epub: "application/epub+zip",
  zip: "application/zip",
  gz: "application/gzip",
  tgz: "application/gzip",
  zst: "application/zstd",
  tar: "application/x-tar",
  "7z": "application/x-7z-compressed",
  doc: "application/msword",
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  pptx: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
  odt: "application/vnd.oasis.opendocument.text",
  png: "image/png",
  apng: "image/apng",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  avif: "image/avif",
  heic: "image/heic",
  jxl: "image/jxl",
  bmp: "image/bmp",
  tif: "image/tiff",
  tiff: "image/tiff",
  ico: "image/x-icon",
  mp3: "audio/mpeg",
  m4a: "audio/mp4",
  aac: "audio/aac",
  ogg: "audio/ogg",
  oga: "audio/ogg",
  opus: "audio/ogg",
  flac: "audio/flac",
  wav: "audio/wav",
  weba: "audio/webm",
  mp4: "video/mp4",
  m4v: "video/mp4",
  mov: "video/quicktime",
  webm: "video/webm",
  ogv: "video/ogg",
  mkv: "video/x-matroska",
  mpd: "application/dash+xml",
  m3u8: "application/vnd.apple.mpegurl",
  woff: "font/woff",
  woff2: "font/woff2",
  ttf: "font/ttf",
  otf: "font/otf",
  eot: "application/vnd.ms-fontobject",
  glb: "model/gltf-binary",
  gltf: "model/gltf+json",
};

/** Names without an ending that are text by custom. */
const plainNames = /^(license|licence|copying|readme|changelog|notice|authors)$/i;

const textual =
  /^(text\/|application\/(json5?|xml|yaml|toml|x-ndjson|.*\+(json|xml)$)|image\/svg\+xml)/;
const compressibleToo =
  /^(application\/(wasm|x-tar|rtf|vnd\.ms-fontobject)|font\/[ot]tf|image\/(bmp|x-icon)|model\/gltf)/;

/** The media type of a file by its name; `application/octet-stream` when it says nothing. */
export function contentTypeOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  if (dot <= 0) return plainNames.test(name) ? withCharset(text.text) : "application/octet-stream";
  const ending = name.slice(dot + 1).toLowerCase();
  const type = Object.hasOwn(endings, ending) ? endings[ending] : undefined;
  return type === undefined ? "application/octet-stream" : withCharset(type);
}

function withCharset(type: string): string {
  return type.startsWith("text/") || type === "application/xhtml+xml"
    ? `${type}; charset=utf-8`
    : type;
}

/** Whether compression is worth trying for a media type. */
export function isCompressible(contentType: string): boolean {
  const [type = ""] = contentType.split(";");
  return textual.test(type) || compressibleToo.test(type);
}
