/** Sources and target made of icons: Material Design Icons by tag (source), Oxygen by context (target). */
import { existsSync, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJsonFile } from "../../io/index.ts";
import type { Dataset, Item, KnownDataset } from "../types.ts";
import { iconLookAlikes, joinLookAlikes } from "./look-alikes.ts";

const entriesSchema = z.array(z.object({ name: z.string(), baseIconId: z.string(), tags: z.array(z.string()) }));

/** Emoji are a target, so nothing of theirs may be learned from. */
const excludedTags = new Set(["Emoji"]);
const smallestClass = 40;

export const mdiIcons: KnownDataset = {
  name: "mdi-icons",
  role: "source",
  summary: "about 7,400 one-colour icons, half of them in 40 tagged classes",
  licence: "Apache-2.0 (Pictogrammers, Material Design Icons)",
  origin: "npm @mdi/svg 7.4.47",
  packages: ["@mdi/svg"],
  async open([folder = ""]): Promise<Dataset> {
    const root = join(folder, "package");
    const entries = readJsonFile(join(root, "meta.json"), entriesSchema, "a list of icons")
      .filter((entry) => !entry.tags.some((tag) => excludedTags.has(tag)) && !/emoticon|emoji|flag/.test(entry.name))
      .filter((entry) => existsSync(join(root, "svg", `${entry.name}.svg`)))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const counts = new Map<string, number>();
    for (const entry of entries) {
      const tag = entry.tags[0];
      if (tag) counts.set(tag, (counts.get(tag) ?? 0) + 1);
    }
    const classes = [...counts]
      .filter(([, count]) => count >= smallestClass)
      .map(([tag]) => tag)
      .sort();
    return {
      name: "mdi-icons",
      classes,
      licence: mdiIcons.licence,
      origin: mdiIcons.origin,
      items: entries.map((entry) => ({
        id: entry.name,
        label: classes.indexOf(entry.tags[0] ?? ""),
        source: { kind: "file", path: join(root, "svg", `${entry.name}.svg`) },
        group: entry.baseIconId,
      })),
    };
  },
};

const contexts = ["actions", "apps", "categories", "devices", "mimetypes", "places", "status"];

export const desktopIcons: KnownDataset = {
  name: "desktop-icons",
  role: "target",
  summary: "Oxygen desktop icons, 64 px, in 7 contexts (actions, applications, devices, …)",
  licence: "LGPL-3.0-or-later (Oxygen icon theme)",
  origin: "Debian package oxygen-icon-theme",
  packages: ["oxygen-icon-theme"],
  async open([folder = ""]): Promise<Dataset> {
    const root = join(folder, "usr/share/icons/oxygen/base/64x64");
    const items = contexts.flatMap((context, label): Item[] =>
      readdirSync(join(root, context))
        .filter((name) => name.endsWith(".png") && lstatSync(join(root, context, name)).isFile())
        .sort()
        .map((name) => ({
          id: `${context}/${name}`,
          label,
          source: { kind: "file", path: join(root, context, name) },
        })),
    );
    return {
      name: "desktop-icons",
      classes: contexts,
      licence: desktopIcons.licence,
      origin: desktopIcons.origin,
      items: joinLookAlikes(items, iconLookAlikes),
    };
  },
};
