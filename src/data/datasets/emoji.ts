/** Target: Noto emoji by category. Nine categories; variants of one emoji (gender) are one group. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJsonFile } from "../../io/index.ts";
import type { Dataset, KnownDataset } from "../types.ts";
import { emojiLookAlikes, joinLookAlikes } from "./look-alikes.ts";

const entriesSchema = z.array(
  z.object({
    unified: z.string(),
    image: z.string(),
    short_name: z.string(),
    category: z.string(),
    has_img_google: z.boolean(),
  }),
);

const persons = new Set(["1F468", "1F469", "1F9D1"]);
const marks = new Set(["200D", "FE0F", "2640", "2642"]);

/** The drawn thing without its person: code points except persons, gender signs and joiners. */
export function emojiGroup(unified: string): string {
  const points = unified.split("-");
  const rest = points.filter((point) => !persons.has(point) && !marks.has(point));
  if (rest.length === points.length) return unified;
  // A fire engine is not a firefighter: sequences around a person are groups of their own.
  return points.some((point) => persons.has(point)) ? `person+${rest.join("-")}` : rest.join("-") || unified;
}

export const emoji: KnownDataset = {
  name: "emoji",
  role: "target",
  summary: "1,906 Noto emoji, 64 px, in 9 categories",
  licence: "images: SIL Open Font License 1.1 (Noto Emoji); data: MIT (emoji-data)",
  origin: "npm emoji-datasource-google 16.0.0",
  packages: ["emoji-datasource-google"],
  async open([folder = ""]): Promise<Dataset> {
    const root = join(folder, "package");
    const usable = readJsonFile(join(root, "emoji.json"), entriesSchema, "a list of emoji")
      .filter((entry) => entry.category !== "Component" && entry.has_img_google)
      .filter((entry) => existsSync(join(root, "img/google/64", entry.image)))
      .sort((a, b) => (a.unified < b.unified ? -1 : 1));
    const classes = [...new Set(usable.map((entry) => entry.category))].sort();
    return {
      name: "emoji",
      classes,
      licence: emoji.licence,
      origin: emoji.origin,
      items: joinLookAlikes(
        usable.map((entry) => ({
          id: entry.short_name,
          label: classes.indexOf(entry.category),
          source: { kind: "file", path: join(root, "img/google/64", entry.image) },
          group: emojiGroup(entry.unified),
        })),
        emojiLookAlikes,
      ),
    };
  },
};
