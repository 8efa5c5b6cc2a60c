/** Characters rendered from font files: all of them as a source, or Latin ones as a source for Greek ones as a target. */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { Dataset, Item, KnownDataset } from "../types.ts";

const latin = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const signs = "&%#?!@$*+=<>";
const greek = "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθλμξπρσφψω";
const cyrillic = "БДЖЗИЛФЦЧШЩЭЮЯбджзилфцчшщэюя";

const packages = ["fonts-dejavu-core", "fonts-freefont-ttf", "fonts-lato", "fonts-liberation"];
const licence =
  "fonts: DejaVu (Bitstream Vera licence), FreeFont (GPL-3 with font exception), Lato and Liberation (SIL OFL 1.1)";
const origin = `Debian packages ${packages.join(", ")}`;

/** A font file's family: its name without weight, width and slant. */
const familyOf = (file: string): string =>
  file.replace(/(-|Bold|Oblique|Italic|Condensed|Narrow).*$|\.ttf$/, "").toLowerCase();

/** Group that keeps the items of a character together: its font, or for a target all variants of one family. */
type Grouping = (file: string, text: string) => Pick<Item, "group">;
const byFont: Grouping = (file) => ({ group: file });
const byFamily: Grouping = (file, text) => ({ group: `${familyOf(basename(file))}:${text}` });

/** Each character in each font: one class for each character. */
function characterSet(
  name: string,
  role: KnownDataset["role"],
  summary: string,
  characters: string,
  grouping = byFont,
): KnownDataset {
  return {
    name,
    role,
    summary,
    licence,
    origin,
    packages,
    async open(folders): Promise<Dataset> {
      const classes = [...characters];
      const fonts = folders.flatMap((folder) =>
        readdirSync(folder, { recursive: true, encoding: "utf8" })
          .filter((file) => file.endsWith(".ttf") && !/Hairline|Thin/.test(file))
          .sort()
          .map((file) => join(folder, file)),
      );
      const items = fonts.flatMap((fontFile): Item[] =>
        classes.map((text, label) => ({
          id: `${basename(fontFile)}:${text}`,
          label,
          source: { kind: "glyph", text, fontFile },
          ...grouping(fontFile, text),
        })),
      );
      return { name, classes, licence, origin, items };
    },
  };
}

export const glyphs = characterSet(
  "glyphs",
  "source",
  "letters, digits and signs in about 50 fonts, one class for each character",
  latin + signs + greek + cyrillic,
);

export const latinCharacters = characterSet(
  "latin",
  "source",
  "Latin letters, digits and signs in about 50 fonts, one class for each character",
  latin + signs,
);

export const greekCharacters = characterSet(
  "greek",
  "target",
  "Greek letters unlike Latin ones in about 50 fonts, one class for each letter; no target for who learned from glyphs",
  greek,
  byFamily,
);
