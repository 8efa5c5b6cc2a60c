/** Choice of the file of a repository that is the model. */

import { shown } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import type { HubSource } from "./parse.ts";

/** Kinds of files, the best first: safetensors bring no program, ONNX brings its network, pickles and TensorFlow.js are last. */
const preferences: readonly ((paths: readonly string[]) => readonly string[])[] = [
  (paths) => preferred(paths, isSafetensors, ["model.safetensors", "model.safetensors.index.json"]),
  (paths) => preferred(paths, (name) => name.endsWith(".onnx"), ["model.onnx"]),
  (paths) =>
    preferred(paths, (name) => /^(open_clip_)?pytorch_model\.bin$|\.pth$|\.pt$/.test(name), ["pytorch_model.bin"]),
  (paths) => preferred(paths, (name) => name === "model.json", []),
];

/** Files that say what network the weights beside them are of, the best first. */
export const configNames: readonly string[] = ["config.json", "open_clip_config.json"];

const modelFile =
  /\.(safetensors|onnx|pth|pt)$|(^|\/)((open_clip_)?pytorch_model\.bin|model\.json|[^/]*\.safetensors\.index\.json)$/;
const maximumListed = 12;

/**
 * The path of the model's main file.
 * @param paths all files of the repository
 * @throws UserError when there is none, or several with equal right; it lists them and says how to name one
 */
export function chooseModel(paths: readonly string[], source: HubSource): string {
  const { path } = source;
  if (path !== undefined && paths.includes(path)) return path;
  const inside = path === undefined ? [...paths] : paths.filter((candidate) => candidate.startsWith(`${path}/`));
  if (inside.length === 0)
    throw new UserError(`${name(source)} has no "${shown(path ?? "")}"; ${listed(paths, source)}`);
  const folders = path === undefined ? ["", "onnx/"] : [`${path}/`, `${path}/onnx/`];
  for (const preference of preferences) {
    for (const folder of folders) {
      const here = inside.filter((candidate) => parent(candidate) === folder);
      const found = preference(here);
      if (found.length > 1) {
        throw new UserError(`${name(source)} has several models: ${listed(found, source)}`);
      }
      if (found[0] !== undefined) return found[0];
    }
  }
  throw new UserError(
    `${name(source)} has no model file here (.safetensors, .onnx, .pth, .pt, pytorch_model.bin, model.json); ${listed(inside, source)}`,
  );
}

/** Files beside a path, or in a folder above it, under a name; the nearest. */
export function nearest(paths: readonly string[], main: string, file: string): string | undefined {
  for (let folder = parent(main); ; folder = parent(folder.slice(0, -1))) {
    if (paths.includes(folder + file)) return folder + file;
    if (folder === "") return undefined;
  }
}

/** The folder of a path, with its slash; "" for the top. */
export function parent(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/** The usual one if it is there, else all that fit. */
function preferred(
  paths: readonly string[],
  fits: (name: string) => boolean,
  usual: readonly string[],
): readonly string[] {
  const named = (name: string) => paths.find((path) => path.slice(parent(path).length) === name);
  const best = usual.map(named).find((path) => path !== undefined);
  return best === undefined ? paths.filter((path) => fits(path.slice(parent(path).length))) : [best];
}

/** Whole files and indices; a shard is neither. */
function isSafetensors(name: string): boolean {
  return /\.safetensors(\.index\.json)?$/.test(name) && !/-\d{5}-of-\d{5}\.safetensors$/.test(name);
}

function name({ repo, revision }: HubSource): string {
  return `hf:${repo}${revision === "main" ? "" : `@${shown(revision)}`}`;
}

function listed(paths: readonly string[], source: HubSource): string {
  const models = paths.filter((path) => modelFile.test(path));
  const all = models.length > 0 ? models : paths;
  const more = all.length > maximumListed ? ` and ${all.length - maximumListed} more` : "";
  const list = all.slice(0, maximumListed).map(shown).join(", ");
  const example = models[0] === undefined ? "" : `; name one, as in ${name(source)}/${shown(models[0])}`;
  return `it has ${list === "" ? "no files" : list}${more}${example}`;
}
