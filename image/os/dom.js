// @ts-check
/** The page's elements by id, checked; new elements without markup in strings; icons; copying. */

/**
 * The element with this id, of this class; a page without it is our mistake.
 * @template {Element} T
 * @param {string} id @param {{ new (): T }} kind @returns {T}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`no ${kind.name} with id "${id}"`);
  return found;
}

/**
 * A new element with attributes and children.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Record<string, string>} attributes @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets text only where it differs, so that nothing is announced or painted twice. */
export function say(/** @type {Element} */ element, /** @type {string} */ text) {
  if (element.textContent !== text) element.textContent = text;
}

const paths = {
  running: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z",
  sleeping: "M13.6 10.2A6 6 0 0 1 5.8 2.4a6 6 0 1 0 7.8 7.8Z",
  stopped: "M3 3h10v10H3Z",
  crashed: "M8 1.2 15.4 14H.6ZM8 6v3.6M8 11.4v.9",
  waiting: "M13.5 8A5.5 5.5 0 1 1 8 2.5V.8M8 2.5l2.6 2M8 2.5l2.6-2",
  static: "M3 1.5h6.5L13 5v9.5H3ZM9.5 1.5V5H13",
};

/** @typedef {keyof typeof paths} IconName */

/** @param {IconName} name */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", paths[name]);
  svg.append(path);
  return svg;
}

/**
 * Copies text; on plain HTTP, where browsers hide the clipboard, through a selection.
 * @param {string} text @returns {Promise<boolean>}
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", { class: "offscreen", readonly: "" });
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}

/** Makes every `[data-copy]` button copy the text of the element it names. */
export function wireCopyButtons() {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const source = document.getElementById(button.getAttribute("data-copy") ?? "");
    const label = button.textContent ?? "";
    button.addEventListener("click", async () => {
      const copied = await copy(source?.textContent ?? "");
      button.textContent = copied ? "Copied" : "Select and copy";
      setTimeout(() => {
        button.textContent = label;
      }, 1600);
    });
  }
}
