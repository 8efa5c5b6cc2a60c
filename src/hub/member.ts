/** A hub's member: an architecture with its pre-trained weights, ready to be trained further. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readSafetensors } from "../io/index.ts";
import { type Backbone, createBackbone } from "../models/index.ts";
import { disposeTree, Generator, type Tensor, UserError } from "../torch/index.ts";
import type { MemberEntry } from "./manifest.ts";
import { preprocess } from "./preprocessing.ts";
import type { PathwayMember } from "./types.ts";

export interface LoadMemberOptions {
  device?: string | undefined;
  /** Draw new weights from this stream instead of loading the pre-trained ones (a control). */
  randomWeights?: Generator | undefined;
  /** Skip the hash, for weights that were just verified. */
  trusted?: boolean | undefined;
}

export class HubMember implements PathwayMember {
  readonly name: string;
  readonly entry: MemberEntry;
  readonly backbone: Backbone;
  readonly featureWidth: number;
  readonly flops: number;

  constructor(entry: MemberEntry, backbone: Backbone) {
    this.name = entry.name;
    this.entry = entry;
    this.backbone = backbone;
    this.featureWidth = backbone.featureWidth;
    this.flops = backbone.flops(entry.input.size);
  }

  /** Images [n, 3, H, W] in [0, 1] to features [n, d]. */
  features(images: Tensor): Tensor {
    return this.backbone.forward(preprocess(images, this.entry.input).contiguous("channels_last"));
  }

  get stemWidth(): number | undefined {
    return this.backbone.stemWidth;
  }

  /** Feature map of the first stages as in evaluation, whatever mode the member is in; [n, stemWidth, h, w]. */
  stem(images: Tensor): Tensor {
    const { training } = this.backbone;
    this.backbone.eval();
    try {
      return this.backbone.stem(preprocess(images, this.entry.input).contiguous("channels_last"));
    } finally {
      this.backbone.train(training);
    }
  }

  dispose(): void {
    this.backbone.dispose();
  }
}

/**
 * Loads one member from its hub's folder.
 * @throws UserError naming member and file when the file is missing, its hash differs, or keys or shapes do not fit.
 */
export function loadMember(dir: string, entry: MemberEntry, options: LoadMemberOptions = {}): HubMember {
  using unused = new Generator(0);
  const generator = options.randomWeights ?? unused;
  const { device } = options;
  const backbone = createBackbone(entry.architecture, entry.config, { generator, ...(device ? { device } : {}) });
  try {
    if (backbone.featureWidth !== entry.featureWidth) {
      throw new UserError(
        `member "${entry.name}" of ${dir}: the manifest says feature width ${entry.featureWidth}, ` +
          `its architecture ${entry.architecture} gives ${backbone.featureWidth}`,
      );
    }
    if (!options.randomWeights) loadWeights(dir, entry, backbone, options.trusted ?? false);
    backbone.to({ memory_format: "channels_last" });
    return new HubMember(entry, backbone);
  } catch (error) {
    backbone.dispose();
    throw error;
  }
}

function loadWeights(dir: string, entry: MemberEntry, backbone: Backbone, trusted: boolean): void {
  const path = weightsPath(dir, entry);
  if (!trusted) checkHash(path, entry);
  const { tensors } = readSafetensors(path);
  try {
    backbone.loadStateDict(renameKeys(tensors, entry.keyMap));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`member "${entry.name}" (${path}): ${error.message}`, { cause: error });
  } finally {
    disposeTree(tensors);
  }
}

/** Where a member's weights lie. */
export function weightsPath(dir: string, entry: MemberEntry): string {
  return join(dir, entry.weights.file);
}

/** @throws UserError when the file is missing or is not the one that the manifest describes. */
export function checkHash(path: string, entry: MemberEntry): void {
  if (!existsSync(path)) throw new UserError(`member "${entry.name}": its weights file ${path} is missing`);
  const actual = createHash("sha256").update(readFileSync(path)).digest("hex");
  if (actual === entry.weights.sha256) return;
  throw new UserError(
    `member "${entry.name}": ${path} has sha256 ${actual.slice(0, 12)}…, hub.json says ` +
      `${entry.weights.sha256.slice(0, 12)}…: the file is damaged or was replaced; restore it, or correct hub.json`,
  );
}

function renameKeys(tensors: Map<string, Tensor>, map: MemberEntry["keyMap"]): Map<string, Tensor> {
  const renamed = new Map<string, Tensor>();
  for (const [key, value] of tensors) {
    if (!key.startsWith(map.prefix)) continue;
    let name = key.slice(map.prefix.length);
    for (const [from, to] of Object.entries(map.rename)) {
      if (name.startsWith(from)) {
        name = to + name.slice(from.length);
        break;
      }
    }
    renamed.set(name, value);
  }
  return renamed;
}
