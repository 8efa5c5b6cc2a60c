/**
 * Recognises what network a state dict holds, from the names and shapes of its tensors: which keys are the backbone's,
 * which package's names they have, and which keys (heads, detectors, momentum encoders) are left out.
 */
import { quoted } from "../../io/index.ts";
import { init } from "../../nn/index.ts";
import { Generator, UserError } from "../../torch/index.ts";
import type { Config, Family, Guess, Shapes } from "../family.ts";
import { covers, lacks, listed, type Outline, outlineOf, presetOutline } from "../outline.ts";
import { imagenetInput, type PresetInput } from "../preset.ts";
import { createBackbone, presets } from "../registry.ts";
import { doubtOf, findClassifier, inputOfName, isDilated, methodOf } from "./checkpoint-clues.ts";
import { families } from "./infer-config.ts";
import { keyLayout, keyLayouts } from "./key-layouts.ts";
import type { KeyLayout } from "./layout.ts";

type Shape = readonly number[];

/** Hints about a network beside its weights: from the user, or from the files that lie beside it. */
export interface Hints {
  /** Name that its package or its file gives it, such as "tf_efficientnet_b0". */
  name?: string | undefined;
  /** Parts of the configuration, which come before what shapes suggest. */
  config?: Config | undefined;
  /** The only architecture to look for. */
  architecture?: string | undefined;
}

/** Network that a state dict is thought to hold, in the terms of a hub's manifest. */
export interface Proposal {
  /** The published network of the same names and shapes. */
  preset?: string;
  architecture: string;
  config: Config;
  /** Only keys that start with it are the backbone's; it is stripped. */
  prefix: string;
  /** Beginnings of stripped keys that are left out. */
  drop: string[];
  /** Beginnings of stripped keys that are renamed. */
  rename: Record<string, string>;
  /** Name of the key layout that then gives the architecture's names; none where they are its own. */
  layout?: string;
  /** Key of a classifier of the backbone's features in the file, without ".weight". */
  classifier?: string;
  /** Width d of the features. */
  featureWidth: number;
  /** Input that such weights usually expect: the file does not say. */
  input: PresetInput;
  /** Training method of the weights, where the keys show it. */
  paradigm?: string;
  /** Groups of the file's keys that are not used. */
  leftOut: string[];
  /** Choice that neither the weights nor the user made. */
  guess?: Guess;
}

/** Bounds for files that no trainer wrote. */
const limits = { keys: 20_000, keyLength: 2000, size: 2 ** 16, rank: 8, prefixes: 32, dropped: 1000 };

/**
 * The network in a state dict of these names and shapes; undefined where no known architecture fits completely.
 * Networks are made without data to compare shapes, and only those that may fit: some tens of milliseconds.
 */
export function proposeArchitecture(shapes: Shapes, hints: Hints = {}): Proposal | undefined {
  const [best] = candidates(shapes, hints).toSorted(
    (a, b) => a.doubt - b.doubt || b.outline.weights - a.outline.weights,
  );
  return best && describeFound(best, shapes, hints);
}

function candidates(shapes: Shapes, hints: Hints, misses?: NearMiss[]): Found[] {
  if (shapes.size > limits.keys || [...shapes.keys()].some((key) => key.length > limits.keyLength)) return [];
  const usable = new Map([...shapes].filter(([, shape]) => isUsable(shape)));
  const look = (family: Family, layout?: KeyLayout): Found[] =>
    search({ shapes: usable, family, layout, hints, misses });
  const wanted = (family: Family): boolean => (hints.architecture ?? family.architecture) === family.architecture;
  const found = families
    .filter(wanted)
    .flatMap((family) => [
      ...look(family),
      ...keyLayouts
        .filter((layout) => layout.architecture === family.architecture)
        .flatMap((layout) => look(family, layout)),
    ]);
  if (found.length === 0)
    found.push(
      ...presetFamilies()
        .filter(wanted)
        .flatMap((family) => look(family)),
    );
  return found;
}

/** A network that has many of a state dict's names, and what is wrong with it. */
interface NearMiss {
  architecture: string;
  config: Config;
  /** Names of the network that the state dict has in the same shape. */
  shared: number;
  problems: string[];
}

/** Sentence about the network that comes nearest to a state dict that no known one fits; undefined where none is near. */
export function describeNearMiss(shapes: Shapes, hints: Hints = {}): string | undefined {
  const misses: NearMiss[] = [];
  candidates(shapes, hints, misses);
  const [nearest] = misses.toSorted((a, b) => b.shared - b.problems.length - (a.shared - a.problems.length));
  if (!nearest || nearest.shared < 4) return undefined;
  const { architecture, config, problems } = nearest;
  const text = JSON.stringify(config);
  return `nearest is ${architecture} ${text.length > 200 ? `${text.slice(0, 200)}…` : text}, but ${listed(problems)}`;
}

/** User's description of a state dict that `proposeArchitecture` cannot recognise. */
export interface Wish {
  /** An architecture, or a published network. */
  architecture: string;
  /** Configuration of the architecture; it overrides that of a published network. */
  config?: Config | undefined;
  /** Only keys that start with it are the backbone's. */
  prefix?: string | undefined;
  /** Name of the layout of the keys. */
  layout?: string | undefined;
}

/**
 * The network that the user names, in a state dict of these names and shapes; keys of no part of it are left out.
 * @throws UserError listing what is missing or has another shape, for an unknown name, and for a wrong configuration
 */
export function fitArchitecture(shapes: Shapes, wish: Wish): Proposal {
  const inferred = wish.layout === undefined ? fitInferred(shapes, wish) : undefined;
  if (inferred) return inferred;
  const preset = presets()[wish.architecture];
  const architecture = preset?.architecture ?? wish.architecture;
  const layout = wish.layout === undefined ? undefined : keyLayout(wish.layout);
  const config = { ...preset?.config, ...layout?.config, ...wish.config };
  const naming = layout ? layoutNaming(layout) : ownNaming;
  const prefix = wish.prefix ?? "";
  const below = new Map(
    [...shapes].flatMap(([key, shape]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), shape]] : [])),
  );
  const outline = outlineNamed(wish.architecture, architecture, config);
  const named = naming.convert(new Map([...below].filter(([key]) => naming.target(key) !== undefined)));
  if (!covers(named, outline.shapes)) throw unfit(named, outline.shapes, wish.architecture, prefix);
  const used = new Set([...below.keys()].filter((key) => outline.shapes.has(naming.target(key) ?? "")));
  const drop = new Set(Array.from(unusedGroups(below.keys(), used).values(), ({ beginning }) => beginning));
  const known = families.find((family) => family.architecture === architecture);
  const family: Family = known ?? { architecture, anchor: "", infer: () => [], input: () => imagenetInput };
  return describe(
    { family, layout, prefix, rename: {}, doubt: 0, config, outline, used, drop: [...drop] },
    shapes,
    config,
    {},
  );
}

/** The network of a name that stands for many configurations: an architecture without one, or a name of timm's. */
function fitInferred(shapes: Shapes, { architecture: name, config, prefix = "" }: Wish): Proposal | undefined {
  const isArchitecture = families.some((family) => family.architecture === name);
  const family = families.find(({ architecture, named }) => architecture === name || named?.test(name));
  if (!family || (isArchitecture && config !== undefined)) return undefined;
  const below = new Map([...shapes].filter(([key]) => key.startsWith(prefix)));
  const hints = { config, ...(isArchitecture ? {} : { name }), architecture: family.architecture };
  const found = proposeArchitecture(below, hints);
  if (found || presets()[name] !== undefined) return found;
  throw new UserError(
    `the weights are not those of ${name}: ${describeNearMiss(below, hints) ?? "they share no names"}`,
  );
}

function outlineNamed(wished: string, architecture: string, config: Config): Outline {
  using unused = new Generator(0);
  // For the message: an unknown name or a wrong configuration.
  init.skipInit(() => createBackbone(architecture, config, { generator: unused, device: "meta" })).dispose();
  const outline = outlineOf(architecture, config);
  if (outline) return outline;
  throw new UserError(`"${wished}" cannot be made with the configuration ${JSON.stringify(config)}`);
}

function unfit(given: Shapes, wanted: Shapes, wished: string, prefix: string): UserError {
  const problems = lacks(given, wanted);
  const examples = [...given.keys()].slice(0, 3).map(quoted).join(", ");
  return new UserError(
    `the weights${prefix === "" ? "" : ` below "${prefix}"`} are not those of ${wished}: ` +
      `${listed(problems)}; they have ${given.size === 0 ? "no keys" : `keys such as ${examples}`}`,
  );
}

function isUsable(shape: Shape): boolean {
  return shape.length <= limits.rank && shape.every((size) => size <= limits.size);
}

/** A backbone that fits the keys below a prefix. */
interface Found extends Fit {
  family: Family;
  layout: KeyLayout | undefined;
  prefix: string;
  rename: Record<string, string>;
  /** Penalty of a network that is less likely to be the wanted one, where a file has several. */
  doubt: number;
}

interface Fit {
  config: Config;
  outline: Outline;
  /** Keys below the prefix that the backbone takes. */
  used: Set<string>;
  drop: string[];
}

/** torchvision's detectors take the steps out of the module "features" that contains them elsewhere. */
const unwrapped = "features.";

interface Search {
  shapes: Shapes;
  family: Family;
  layout: KeyLayout | undefined;
  hints: Hints;
  /** Takes what nearly fits. */
  misses: NearMiss[] | undefined;
}

function search({ shapes, family, layout, hints, misses }: Search): Found[] {
  const found: Found[] = [];
  const look = (anchor: string, rename: Record<string, string>, naming: Naming): void => {
    for (const prefix of prefixesOf(shapes, anchor)) {
      const below = new Map<string, Shape>();
      for (const [key, shape] of shapes) if (key.startsWith(prefix)) below.set(key.slice(prefix.length), shape);
      const fit = tryFit(below, family, naming, hints, misses);
      if (fit) found.push({ ...fit, family, layout, prefix, rename, doubt: doubtOf(prefix) });
    }
  };
  if (layout) {
    for (const anchor of layout.anchors) look(anchor, {}, layoutNaming(layout));
    return found;
  }
  look(family.anchor, {}, { ...ownNaming, nested: family.nested });
  if (found.length === 0 && family.anchor.startsWith(unwrapped)) {
    look(family.anchor.slice(unwrapped.length), { "": unwrapped }, unwrappedNaming);
  }
  return found;
}

function prefixesOf(shapes: Shapes, anchor: string): string[] {
  const prefixes: string[] = [];
  for (const key of shapes.keys()) {
    if (prefixes.length === limits.prefixes) break;
    if (key === anchor || key.endsWith(`.${anchor}`)) prefixes.push(key.slice(0, key.length - anchor.length));
  }
  return prefixes;
}

/** Renaming of the keys below a prefix to the architecture's. */
interface Naming {
  target: (key: string) => string | undefined;
  convert: (shapes: Shapes) => Shapes;
  config: Config;
  /** Keys inside the backbone's own modules that are known to be no part of it. */
  nested?: RegExp | undefined;
}

const ownNaming: Naming = { target: (key) => key, convert: (shapes) => shapes, config: {} };

const unwrappedNaming: Naming = {
  target: (key) => unwrapped + key,
  convert: (shapes) => new Map(Array.from(shapes, ([key, shape]) => [unwrapped + key, shape])),
  config: {},
};

function layoutNaming(layout: KeyLayout): Naming {
  const { config, nested } = layout;
  return { target: layout.target, convert: layout.convertShapes, config, nested };
}

function tryFit(
  below: Shapes,
  family: Family,
  naming: Naming,
  hints: Hints,
  misses: NearMiss[] | undefined,
): Fit | undefined {
  let named: Shapes;
  try {
    named = naming.convert(new Map([...below].filter(([key]) => naming.target(key) !== undefined)));
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
  for (const inferred of family.infer(named, hints.name ?? "")) {
    const config = { ...inferred, ...naming.config, ...hints.config };
    const { architecture } = family;
    const outline = outlineOf(architecture, config);
    if (!outline) continue;
    if (!covers(named, outline.shapes)) {
      misses?.push(nearMiss(architecture, config, named, outline.shapes));
      continue;
    }
    const used = new Set([...below.keys()].filter((key) => outline.shapes.has(naming.target(key) ?? "")));
    const drop = dropped(below, used, family.foreign, naming.nested);
    if (drop) return { config, outline, used, drop };
    const others = [...below.keys()].filter((key) => !used.has(key) && !naming.nested?.test(key));
    const problems = others.map((key) => `${quoted(key)} belongs to another network`);
    misses?.push({ architecture, config, shared: used.size, problems });
  }
  return undefined;
}

function nearMiss(architecture: string, config: Config, given: Shapes, wanted: Shapes): NearMiss {
  const problems = lacks(given, wanted);
  return { architecture, config, shared: wanted.size - problems.length, problems };
}

/**
 * Beginnings that leave out all keys but the used ones; undefined when one of those keys belongs to the network, which
 * then is another than the one that was tried.
 */
function dropped(below: Shapes, used: ReadonlySet<string>, foreign?: RegExp, nested?: RegExp): string[] | undefined {
  const groups = unusedGroups(below.keys(), used);
  const drop = new Set<string>();
  for (const [key, { beginning, depth }] of groups) {
    if (!nested?.test(key) && (depth > 1 || foreign?.test(key))) return undefined;
    drop.add(beginning);
  }
  if (drop.size > limits.dropped) return undefined;
  for (const key of used) for (const beginning of drop) if (key.startsWith(beginning)) return undefined;
  return [...drop];
}

/** For each unused key its shortest beginning, by whole segments, that no used key has, and of how many segments. */
function unusedGroups(
  keys: Iterable<string>,
  used: ReadonlySet<string>,
): Map<string, { beginning: string; depth: number }> {
  const shared = new Set<string>();
  for (const key of used) {
    for (let dot = key.indexOf("."); dot >= 0; dot = key.indexOf(".", dot + 1)) shared.add(key.slice(0, dot + 1));
  }
  const groups = new Map<string, { beginning: string; depth: number }>();
  for (const key of keys) {
    if (used.has(key)) continue;
    let end = key.indexOf(".") + 1;
    let depth = 1;
    for (; end > 0 && shared.has(key.slice(0, end)); depth++) end = key.indexOf(".", end) + 1;
    groups.set(key, { beginning: end > 0 ? key.slice(0, end) : key, depth });
  }
  return groups;
}

/** Families of architectures that are only known by their presets. */
function presetFamilies(): Family[] {
  const known = new Set(families.map((family) => family.architecture));
  const names = new Map<string, string[]>();
  for (const [name, { architecture }] of Object.entries(presets())) {
    if (!known.has(architecture)) names.set(architecture, [...(names.get(architecture) ?? []), name]);
  }
  return Array.from(names, ([architecture, [first = "", ...others]]): Family => {
    const example = [...(presetOutline(first)?.shapes.keys() ?? [])];
    return {
      architecture,
      anchor: example[0] ?? "",
      infer: (shapes) => {
        // Networks of one architecture share many names, which spares making those of the others.
        const shared = example.filter((name) => shapes.has(name)).length;
        if (shared < example.length / 4) return [];
        const fits = (name: string): boolean => {
          const outline = presetOutline(name);
          return outline !== undefined && covers(shapes, outline.shapes);
        };
        return [first, ...others].filter(fits).map((name) => presets()[name]?.config ?? {});
      },
      nested: /^classifier\./,
      input: () => imagenetInput,
    };
  });
}

function describeFound(found: Found, shapes: Shapes, hints: Hints): Proposal | undefined {
  const { family, layout, prefix, outline } = found;
  const { architecture } = family;
  const told = { ...methodOf(shapes, prefix, undefined)?.config?.[architecture], ...hints.config };
  const preset = presets()[presetOf(architecture, outline) ?? ""];
  const config = { ...(preset?.config ?? found.config), ...layout?.config, ...told };
  if (isDilated(shapes, prefix) && told["dilated"] === undefined) {
    // The weights of a dilated network fit the plain one, but its features would be others: that is the user's choice.
    Object.assign(config, { dilated: 2 });
    if (!outlineOf(architecture, config)) return undefined;
  }
  return { ...describe(found, shapes, config, hints), ...guessOf(family, config, { ...hints, config: told }) };
}

function guessOf(family: Family, config: Config, hints: Hints): { guess?: Guess } {
  const guess = family.guess?.(config, hints.name ?? "").find(({ key }) => hints.config?.[key] === undefined);
  return guess ? { guess } : {};
}

function presetOf(architecture: string, outline: Outline): string | undefined {
  return Object.keys(presets()).find((name) => isPreset(name, architecture, outline));
}

function describe(found: Found, shapes: Shapes, config: Config, hints: Hints): Proposal {
  const { family, layout, prefix, drop, rename, outline } = found;
  const { architecture } = family;
  const name = presetOf(architecture, outline);
  const preset = presets()[name ?? ""];
  const isThePreset = preset && Object.entries(preset.config).every(([key, value]) => same(config[key], value));
  const used = new Set(Array.from(found.used, (key) => prefix + key));
  const layer = findClassifier(shapes, prefix, outline.featureWidth, used);
  const [outputs = 0] = shapes.get(`${layer}.weight`) ?? [];
  const classifier = (family.hasLinearClassifier?.(config, outputs) ?? true) ? layer : undefined;
  const method = methodOf(shapes, prefix, classifier);
  const groups = Array.from(unusedGroups(shapes.keys(), used).values(), ({ beginning }) => beginning);
  const input = { ...(preset?.input ?? family.input(config, shapes)), ...layout?.input };
  return {
    ...(isThePreset && name !== undefined ? { preset: name } : {}),
    architecture,
    config,
    prefix,
    drop,
    rename,
    ...(layout ? { layout: layout.name } : {}),
    ...(classifier === undefined ? {} : { classifier }),
    featureWidth: outline.featureWidth,
    input: { ...input, ...inputOfName(hints.name ?? ""), ...method?.input },
    ...(method === undefined ? {} : { paradigm: method.paradigm }),
    leftOut: [...new Set(groups.map((beginning) => beginning.replace(/\.$/, "")))],
  };
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function isPreset(name: string, architecture: string, outline: Outline): boolean {
  if (presets()[name]?.architecture !== architecture) return false;
  const { shapes } = presetOutline(name) ?? {};
  return shapes?.size === outline.shapes.size && covers(outline.shapes, shapes);
}
