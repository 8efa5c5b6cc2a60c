/** Source: OpenClipart by its top-level folders. Public domain drawings with alpha. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Dataset, Item, KnownDataset } from "../types.ts";

/** Folders without a subject of their own. */
const left = new Set(["unsorted", "special"]);

export const openclipart: KnownDataset = {
  name: "openclipart",
  role: "source",
  summary: "about 8,000 PNG drawings with alpha, by top-level folder",
  licence: "public domain (Open Clip Art Library)",
  origin: "Debian package openclipart-png",
  packages: ["openclipart-png"],
  async open([folder = ""]): Promise<Dataset> {
    const root = join(folder, "usr/share/openclipart/png");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".png"))
      .sort();
    const top = (name: string) => name.split("/")[0] ?? "";
    const classes = [...new Set(files.map(top))].filter((name) => !left.has(name)).sort();
    return {
      name: "openclipart",
      classes,
      licence: openclipart.licence,
      origin: openclipart.origin,
      items: files.map((name): Item => {
        return {
          id: name,
          label: classes.indexOf(top(name)),
          source: { kind: "file", path: join(root, name) },
          group: seriesOf(name),
        };
      }),
    };
  },
};

/** Drawings of one series differ by a number or a colour at the end of the name: they belong to one group. */
export function seriesOf(name: string): string {
  return name.replace(/\.png$/, "").replace(/([_-]?(\d+|[a-z]))?([_-]\d+)*$/i, "");
}
