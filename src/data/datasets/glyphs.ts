/** Source: letters and digits of four scripts, rendered from font files. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Dataset, Item, KnownDataset } from "../types.ts";

const latin = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const signs = "&%#?!@$*+=<>";
const greek = "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθλμξπρσφψω";
const cyrillic = "БДЖЗИЛФЦЧШЩЭЮЯбджзилфцчшщэюя";

export const glyphs: KnownDataset = {
  name: "glyphs",
  role: "source",
  summary: "letters, digits and signs in about 50 fonts, one class for each character",
  licence:
    "fonts: DejaVu (Bitstream Vera licence), FreeFont (GPL-3 with font exception), Lato and Liberation (SIL OFL 1.1)",
  origin: "Debian packages fonts-dejavu-core, fonts-freefont-ttf, fonts-lato, fonts-liberation",
  packages: ["fonts-dejavu-core", "fonts-freefont-ttf", "fonts-lato", "fonts-liberation"],
  async open(folders): Promise<Dataset> {
    const classes = [...latin, ...signs, ...greek, ...cyrillic];
    const fonts = folders.flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ttf") && !/Hairline|Thin/.test(name))
        .sort()
        .map((name) => join(folder, name)),
    );
    const items = fonts.flatMap((fontFile): Item[] =>
      classes.map((text, label) => ({
        id: `${fontFile.split("/").at(-1)}:${text}`,
        label,
        source: { kind: "glyph", text, fontFile },
        group: fontFile,
      })),
    );
    return { name: "glyphs", classes, licence: glyphs.licence, origin: glyphs.origin, items };
  },
};
