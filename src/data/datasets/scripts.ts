/**
 * Characters of ten writing systems, one class for each. Families of fonts are disjoint between pre-training, training,
 * validation and test: GNU FreeFont validates and Noto tests everywhere, so that no split moves them.
 */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { mixDatasets } from "../mix.ts";
import type { Dataset, Item, KnownDataset } from "../types.ts";
import { readFontFile } from "./font-file.ts";

/** Fonts of one side: packages, and beginnings of the names of their files. */
interface Fonts {
  packages: readonly string[];
  files: readonly string[];
}

interface Script {
  name: string;
  /** Letters that no other script's list has, nor one that looks the same. */
  characters: string;
  source: Fonts;
  train: Fonts;
}

const fonts = (packages: string, files: string): Fonts => ({ packages: packages.split(" "), files: files.split(" ") });

const european = {
  source: fonts("fonts-dejavu-core fonts-lato", "DejaVu Lato"),
  train: fonts("fonts-liberation", "Liberation"),
};

export const scriptList: readonly Script[] = [
  { name: "latin", characters: "ABDEFGHJLMNQRTabdefghnqrt", ...european },
  { name: "greek", characters: "ΔΘΞΣΨΩαβγδεζηθλμξπρσςφχψω", ...european },
  { name: "cyrillic", characters: "БГДЖЗИЙЛПУФЦЧШЩЪЫЬЭЮЯЂЉЊЋЄ", ...european },
  {
    name: "hebrew",
    characters: "אבגדהוזחטיכלמנסעפצקרשתךםףץ",
    source: fonts("fonts-dejavu-core culmus", "DejaVu DavidCLM FrankRuehlCLM Miriam"),
    train: fonts("culmus", "HadasimCLM KeterYG NachlieliCLM SimpleCLM Shofar StamSefaradCLM"),
  },
  {
    name: "arabic",
    characters: "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    source: fonts(
      "fonts-dejavu-core fonts-kacst",
      "DejaVu KacstBook KacstFarsi KacstOffice KacstQurn KacstTitle KacstPoster",
    ),
    train: fonts(
      "fonts-kacst fonts-hosny-amiri",
      "KacstNaskh KacstLetter KacstScreen KacstPen KacstDigital KacstDecorative Amiri-",
    ),
  },
  {
    name: "devanagari",
    characters: "कखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह",
    source: fonts("fonts-deva-extra", "chandas kalimati samanata"),
    train: fonts("fonts-gargi fonts-lohit-deva fonts-nakula fonts-sarai", "Gargi Lohit nakula Sarai"),
  },
  {
    name: "bengali",
    characters: "কখগঘচছজঝটঠডঢণতথদধনপফবভমযরলশষসহ",
    source: fonts("fonts-beng-extra", "Ani Jamrul Likhan"),
    train: fonts("fonts-beng-extra fonts-lohit-beng-bengali", "Mitra Mukti Lohit"),
  },
  {
    name: "thai",
    characters: "กขคฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ",
    source: fonts("fonts-tlwg-garuda-ttf fonts-tlwg-norasi-ttf", "Garuda Norasi"),
    train: fonts("fonts-tlwg-kinnari-ttf fonts-tlwg-loma-ttf fonts-tlwg-purisa-ttf", "Kinnari Loma Purisa"),
  },
  {
    name: "georgian",
    characters: "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    source: fonts(
      "fonts-dejavu-core fonts-bpg-georgian",
      "DejaVu BPG_Algeti BPG_Chveulebrivi BPG_Courier BPG_Elite BPG_Excelsior_GPL",
    ),
    train: fonts(
      "fonts-bpg-georgian",
      "BPG_Glaho_GPL&GNU.ttf BPG_Gorda BPG_Ingiri BPG_Nateli_GPL BPG_Nino BPG_Sans BPG_Serif",
    ),
  },
  {
    name: "malayalam",
    characters: "കഖഗഘങചഛജഝഞടഠഡഢണതഥദധനപഫബഭമയരറലളഴവശഷസഹ",
    source: fonts("fonts-smc-meera fonts-smc-rachana", "Meera Rachana"),
    train: fonts(
      "fonts-smc-anjalioldlipi fonts-smc-gayathri fonts-lohit-mlym fonts-smc-manjari",
      "Anjali Gayathri Lohit Manjari",
    ),
  },
];

/** GNU FreeFont and Noto have up to four faces of a script: sans and serif, regular and bold. */
const heldOut = ["fonts-freefont-ttf", "fonts-noto-core"];
const validationFaces = /^Free(Sans|Serif)(Bold)?\.ttf$/;
const testFaces =
  /^Noto(Sans|Serif|Naskh)(Hebrew|Arabic|Devanagari|Bengali|Thai|Georgian|Malayalam)?-(Regular|Bold)\.ttf$/;
const leftOut = /Hairline|Thin/;

const licence =
  "fonts: SIL OFL 1.1 (Noto, Lato, Liberation, Amiri, Lohit, SMC), GPL with font exception (FreeFont, TLWG, Beng Extra), " +
  "GPL-2 (Culmus, KACST, BPG, Deva Extra, Gargi, Nakula, Sarai), DejaVu (Bitstream Vera licence)";

type Side = "source" | NonNullable<Item["split"]>;

/** The side that a font is on in a script; undefined for fonts that no side has. */
export function sideOf({ source, train }: Pick<Script, "source" | "train">, file: string): Side | undefined {
  if (leftOut.test(file)) return undefined;
  if (validationFaces.test(file)) return "validation";
  if (testFaces.test(file)) return "test";
  const isIn = ({ files }: Fonts) => files.some((name) => file.startsWith(name));
  return isIn(source) ? "source" : isIn(train) ? "train" : undefined;
}

/** Packages of a script in one of the two sets. */
const packagesOf = ({ source, train }: Script, role: KnownDataset["role"]) =>
  role === "source" ? source.packages : [...heldOut, ...train.packages];
const originOf = (packages: readonly string[]) => `Debian packages ${packages.join(", ")}`;

/** One script alone, under a name. */
function scriptSet(script: Script, role: KnownDataset["role"], name: string): KnownDataset {
  const packages = packagesOf(script, role);
  const origin = originOf(packages);
  return {
    name,
    role,
    summary: `${script.name} characters`,
    licence,
    origin,
    packages,
    async open(folders): Promise<Dataset> {
      const classes = [...script.characters];
      const files = folders.flatMap((folder) =>
        readdirSync(folder, { recursive: true, encoding: "utf8" })
          .filter((file) => /\.[ot]tf$/.test(file))
          .sort()
          .map((file) => join(folder, file)),
      );
      return { name, classes, licence, origin, items: files.flatMap((file) => itemsOf(script, role, file)) };
    },
  };
}

/** The script's characters in a font that is on a side of the set. */
function itemsOf(script: Script, role: KnownDataset["role"], fontFile: string): Item[] {
  const file = basename(fontFile);
  const side = sideOf(script, file);
  if (side === undefined || (side === "source") !== (role === "source")) return [];
  const { font, characters } = readFontFile(fontFile);
  const place = side === "source" ? { group: file } : { split: side };
  return [...script.characters].flatMap((text, label): Item[] =>
    characters.has(text.codePointAt(0) ?? 0)
      ? [{ id: `${file}:${text}`, label, source: { kind: "glyph", text, fontFile, font }, ...place }]
      : [],
  );
}

/** All scripts as one set, whose parts can be opened alone and mixed. */
function allScripts(name: string, role: KnownDataset["role"], summary: string): KnownDataset {
  const packages = [...new Set(scriptList.flatMap((script) => packagesOf(script, role)))];
  const foldersOf = (own: KnownDataset, folders: readonly string[]) =>
    own.packages.map((wanted) => folders[packages.indexOf(wanted)] ?? "");
  return {
    name,
    role,
    summary: `${summary}; one script alone is ${name}-greek, …`,
    licence,
    origin: originOf(packages),
    packages,
    parts: scriptList.map((script) => scriptSet(script, role, `${name}-${script.name}`)),
    async open(folders): Promise<Dataset> {
      const parts = scriptList.map((script) => scriptSet(script, role, script.name));
      const all = await Promise.all(parts.map((own) => own.open(foldersOf(own, folders))));
      return { ...mixDatasets(all), name, licence, origin: originOf(packages) };
    },
  };
}

export const scripts = allScripts(
  "scripts",
  "target",
  "characters of ten writing systems, one class for each, with families of fonts of their own on each side of the split",
);

export const scriptsSource = allScripts(
  "scripts-source",
  "source",
  "the same characters in other families of fonts, for pre-training",
);
