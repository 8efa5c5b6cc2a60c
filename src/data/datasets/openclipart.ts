/** Source: OpenClipart by its top-level folders. Public domain drawings with alpha. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Dataset, Item, KnownDataset } from "../types.ts";

/** Folders without a subject of their own. */
const left = new Set(["unsorted", "special"]);
const smallestClass = 30;

export const openclipart: KnownDataset = {
  name: "openclipart",
  role: "source",
  summary: "about 7,700 PNG drawings with alpha, in classes by folder; flags are left out, since emoji have them too",
  licence: "public domain (Open Clip Art Library)",
  origin: "Debian package openclipart-png",
  packages: ["openclipart-png"],
  async open([folder = ""]): Promise<Dataset> {
    const root = join(folder, "usr/share/openclipart/png");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".png") && !/flag/i.test(name))
      .sort();
    const classes = classNames(files);
    return {
      name: "openclipart",
      classes,
      licence: openclipart.licence,
      origin: openclipart.origin,
      items: files.map((name): Item => {
        return {
          id: name,
          label: classes.indexOf(classOf(name, classes) ?? ""),
          source: { kind: "file", path: join(root, name), trim: true },
          group: seriesOf(name),
        };
      }),
    };
  },
};

/** Folders of one or two levels with enough drawings. */
function classNames(files: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const name of files) {
    const deep = folderOf(name, 2);
    counts.set(deep, (counts.get(deep) ?? 0) + 1);
  }
  const large = [...counts].filter(([, count]) => count >= smallestClass).map(([name]) => name);
  return large.filter((name) => !left.has(name.split("/")[0] ?? "")).sort();
}

function classOf(name: string, classes: readonly string[]): string | undefined {
  const deep = folderOf(name, 2);
  return classes.includes(deep) ? deep : undefined;
}

function folderOf(name: string, levels: number): string {
  return name.split("/").slice(0, -1).slice(0, levels).join("/");
}

/** Drawings of one series differ by a number or a colour at the end of the name: they belong to one group. */
export function seriesOf(name: string): string {
  return name.replace(/\.png$/, "").replace(/([_-]?(\d+|[a-z]))?([_-]\d+)*$/i, "");
}
