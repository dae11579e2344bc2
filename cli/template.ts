/**
 * The templates of `fazt app create`: what each consists of. The files are in `image/templates/`
 * and are carried inside the executable as text; their names end in `.txt` because they are text
 * here, whatever they become there. `{{name}}` stands for the app's name.
 */
import apiManifest from "../image/templates/api/app.json.txt" with { type: "text" };
import apiPackage from "../image/templates/api/package.json.txt" with { type: "text" };
import apiServer from "../image/templates/api/server.ts.txt" with { type: "text" };
import fullScript from "../image/templates/fullstack/app.js.txt" with { type: "text" };
import fullManifest from "../image/templates/fullstack/app.json.txt" with { type: "text" };
import fullPage from "../image/templates/fullstack/index.html.txt" with { type: "text" };
import fullPackage from "../image/templates/fullstack/package.json.txt" with { type: "text" };
import fullServer from "../image/templates/fullstack/server.ts.txt" with { type: "text" };
import gitignore from "../image/templates/gitignore.txt" with { type: "text" };
import style from "../image/templates/page.css.txt" with { type: "text" };
import staticManifest from "../image/templates/static/app.json.txt" with { type: "text" };
import staticPage from "../image/templates/static/index.html.txt" with { type: "text" };
import tsconfig from "../image/templates/tsconfig.json.txt" with { type: "text" };

/** Path in the new app → text. */
export type Template = Readonly<Record<string, string>>;

/** Every template by name. */
export const templates: Readonly<Record<"static" | "api" | "fullstack", Template>> = {
  static: {
    "app.json": staticManifest,
    "public/index.html": staticPage,
    "public/page.css": style,
  },
  api: {
    ".gitignore": gitignore,
    "app.json": apiManifest,
    "package.json": apiPackage,
    "server.ts": apiServer,
    "tsconfig.json": tsconfig,
  },
  fullstack: {
    ".gitignore": gitignore,
    "app.json": fullManifest,
    "package.json": fullPackage,
    "public/app.js": fullScript,
    "public/index.html": fullPage,
    "public/page.css": style,
    "server.ts": fullServer,
    "tsconfig.json": tsconfig,
  },
};
