/** From a member's files to its network: hashes, the network's making, keys, weights. */
import { join } from "node:path";
import { hashFile, readSafetensors, reasonOf } from "../io/index.ts";
import {
  type Backbone,
  createBackbone,
  type GraphFormat,
  keyLayout,
  ObservationNetwork,
  openGraphBackbone,
} from "../models/index.ts";
import { init } from "../nn/index.ts";
import { disposeTree, Generator, scope, type Tensor, TorchError, UserError } from "../torch/index.ts";
import { fileOf } from "./files.ts";
import type { MemberEntry, MemberInput } from "./manifest.ts";
import { formatFor, HubMember, type NetworkOf } from "./member.ts";
import { sidesOf } from "./preprocessing.ts";

export interface LoadMemberOptions {
  device?: string | undefined;
  /** Draw new weights from this stream instead of loading the pre-trained ones (a control). */
  randomWeights?: Generator | undefined;
  /** Leave the weights as memory has them, where the network can be made without its file. */
  unfilled?: boolean | undefined;
  /** Skip the hashes, for files that were just verified. */
  verified?: boolean | undefined;
  /** Load TorchScript members too, which are programs. */
  trust?: boolean | undefined;
}

/**
 * Loads one member from its hub's folder.
 * @throws UserError naming member and file when a file is missing, its hash differs, or keys or shapes do not fit
 */
export function loadMember<I extends MemberInput>(
  dir: string,
  entry: MemberEntry<I>,
  options: LoadMemberOptions = {},
): HubMember<I> {
  if (!options.verified && !options.randomWeights && !options.unfilled) checkFiles(dir, entry);
  const backbone = loadBackbone(dir, entry, options);
  try {
    checkNetwork(dir, entry, backbone);
    return new HubMember(dir, entry, backbone);
  } catch (error) {
    backbone.dispose();
    throw error;
  }
}

function checkNetwork(dir: string, { name, featureWidth, input }: MemberEntry, backbone: Backbone): void {
  const where = `member "${name}" of ${dir}: the manifest says`;
  if (backbone.featureWidth !== featureWidth) {
    throw new UserError(`${where} feature width ${featureWidth}, its network gives ${backbone.featureWidth}`);
  }
  if (input.kind === "image" || !(backbone instanceof ObservationNetwork)) return;
  const { shape, channels } = input;
  if (String(shape) !== String(backbone.inputShape) || shape[0] !== channels.length) {
    throw new UserError(
      `${where} observations [${shape}] of ${channels.length} channels, its network takes [${backbone.inputShape}]`,
    );
  }
}

/** The network of a member with its weights, in the order of memory that suits it. The caller disposes it. */
export function loadBackbone<I extends MemberInput>(
  dir: string,
  entry: MemberEntry<I>,
  options: LoadMemberOptions = {},
): NetworkOf<I> {
  const backbone = openBackbone(dir, entry, options);
  backbone.to({ memory_format: formatFor(entry, backbone) });
  // The registry makes networks over observations for entries over observations only.
  return backbone as NetworkOf<I>;
}

function openBackbone(dir: string, entry: MemberEntry, options: LoadMemberOptions): Backbone {
  const { format } = entry.weights;
  const file = () => fileOf(dir, entry.name, entry.weights.file);
  if (format !== "safetensors") return openGraph(format, file(), entry, options);
  using unused = new Generator(0);
  const create = (generator: Generator) => {
    try {
      return createBackbone(entry.architecture, entry.config, { generator, device: options.device }, entry.input.kind);
    } catch (error) {
      const refused =
        error instanceof TorchError ? new UserError(`its network cannot be made: ${error.message}`) : error;
      throw ofMember(entry, join(dir, "hub.json"), refused);
    }
  };
  if (options.randomWeights) return create(options.randomWeights);
  const backbone = init.skipInit(() => create(unused));
  if (options.unfilled) return backbone;
  try {
    loadWeights(file(), entry, backbone);
    return backbone;
  } catch (error) {
    backbone.dispose();
    throw error;
  }
}

function openGraph(format: GraphFormat, path: string, entry: MemberEntry, options: LoadMemberOptions): Backbone {
  if (format === "torchscript" && !options.trust) refuseProgram(entry.name, path);
  const { features } = entry.config;
  const backbone = openGraphBackbone(format, path, {
    device: options.device,
    size: Math.max(...sidesOf(entry.input)),
    ...(typeof features === "string" ? { features } : {}),
  });
  if (options.randomWeights) redraw(backbone, options.randomWeights);
  return backbone;
}

/** @throws UserError always */
export function refuseProgram(name: string, path: string): never {
  throw new UserError(
    `member "${name}" is a TorchScript program (${path}): a program can read and write your files; ` +
      "if you trust whoever made it, add --trust",
  );
}

/** New weights for a network whose own initialisation is not known: He's for products, one and zero for norms. */
function redraw(backbone: Backbone, generator: Generator): void {
  for (const parameter of backbone.parameters()) {
    if (parameter.dim() > 1) init.kaimingNormalFanOut_(parameter, generator);
  }
  for (const [name, buffer] of backbone.namedBuffers()) {
    if (name.endsWith("running_mean")) init.constant_(buffer, 0);
    else if (name.endsWith("running_var")) init.constant_(buffer, 1);
  }
}

function loadWeights(path: string, entry: MemberEntry, backbone: Backbone): void {
  const { tensors } = readSafetensors(path);
  try {
    scope(() => backbone.loadStateDict(mapKeys(tensors, entry.keyMap)));
  } catch (error) {
    throw ofMember(entry, path, error);
  } finally {
    disposeTree(tensors);
  }
}

/** Above it a list of keys says no more. */
const longestReason = 1500;

function ofMember(entry: MemberEntry, path: string, error: unknown): unknown {
  if (!(error instanceof UserError)) return error;
  return new UserError(`member "${entry.name}" (${path}): ${reasonOf(error, longestReason)}`, { cause: error });
}

/**
 * Applies a manifest's key map: keeps what starts with the prefix and strips it, leaves out the beginnings to drop,
 * renames the first beginning that fits, then converts a whole layout. Tensors are the given ones, except those that a
 * layout makes, which belong to the scope of the caller.
 */
export function mapKeys(tensors: ReadonlyMap<string, Tensor>, map: MemberEntry["keyMap"]): Map<string, Tensor> {
  const mapped = new Map<string, Tensor>();
  for (const [key, value] of tensors) {
    if (!key.startsWith(map.prefix)) continue;
    const name = key.slice(map.prefix.length);
    if (!map.drop.some((beginning) => name.startsWith(beginning))) mapped.set(renamed(name, map.rename), value);
  }
  return map.layout === undefined ? mapped : keyLayout(map.layout).convert(mapped);
}

function renamed(name: string, renames: Readonly<Record<string, string>>): string {
  for (const [from, to] of Object.entries(renames)) if (name.startsWith(from)) return to + name.slice(from.length);
  return name;
}

/** @throws UserError when a file of the member is missing or is not the one that the manifest describes */
function checkFiles(dir: string, entry: MemberEntry): void {
  for (const { file, sha256 } of [entry.weights, ...entry.weights.files]) {
    const path = fileOf(dir, entry.name, file);
    const actual = hashFile(path);
    if (actual === sha256) continue;
    throw new UserError(
      `member "${entry.name}": ${path} has sha256 ${actual.slice(0, 12)}…, hub.json says ` +
        `${sha256.slice(0, 12)}…: the file is damaged or was replaced; restore it, or correct hub.json`,
    );
  }
}
