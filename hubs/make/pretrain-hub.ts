/**
 * Makes the repository's hubs again: pre-trains every member on public source data and writes weights and manifest.
 *
 *   npm run pretrain-hub                                     the starter hub's members, then its hub.json
 *   npm run pretrain-hub -- --hub same-architecture          those of another hub
 *   npm run pretrain-hub -- --member X                       one member only
 *
 * Finished members (lines of hubs/HUB/pretraining.jsonl) are kept; delete a line to train its member anew. What the starter
 * hub has already is copied from there.
 */
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { z } from "zod";
import { findDataset } from "../../src/data/index.ts";
import { manifestVersion } from "../../src/hub/index.ts";
import { appendJsonLine, readJsonLines, writeFileAtomic, writeSafetensors } from "../../src/io/index.ts";
import { createBackbone } from "../../src/models/index.ts";
import { AdamW, clipGradNorm } from "../../src/optim/index.ts";
import {
  autocast,
  disposeTree,
  inferenceMode,
  ownProcess,
  RandomStreams,
  scope,
  type Tensor,
} from "../../src/torch/index.ts";
import { createObjective } from "./pretrain/objectives.ts";
import { hubRecipes, imageSize, type Recipe } from "./pretrain/recipes.ts";
import { normalisation, SourceBatches } from "./pretrain/source-batches.ts";

ownProcess();
const seed = 1;
const { values: flags } = parseArgs({
  options: { hub: { type: "string", default: "starter" }, member: { type: "string" } },
});
const hubs = fileURLToPath(new URL("..", import.meta.url));
const hubFolder = join(hubs, flags.hub);
const recipes = hubRecipes[flags.hub] ?? [];

/** Record of a finished member. */
const recordSchema = z.object({
  name: z.string(),
  featureWidth: z.number(),
  sha256: z.string(),
  quality: z.string(),
  epochs: z.number(),
  minutes: z.number(),
});
type MemberRecord = z.infer<typeof recordSchema>;

const recordsOf = (hub: string): string => join(hubs, hub, "pretraining.jsonl");

/** The record of a hub's member; undefined when it is not finished. */
function recordOf(hub: string, name: string): MemberRecord | undefined {
  return readJsonLines(recordsOf(hub), recordSchema).find((record) => record.name === name);
}

async function pretrain(recipe: Recipe): Promise<MemberRecord> {
  const began = performance.now();
  const streams = new RandomStreams(seed);
  const generator = streams.stream(recipe.name);
  const { size = imageSize } = recipe;
  const batches = await SourceBatches.open(recipe.data, size, seed);
  const backbone = createBackbone(recipe.architecture, recipe.config, { generator });
  const objective = createObjective(recipe.objective, backbone.featureWidth, batches.classes, size, generator);
  backbone.to({ memory_format: "channels_last" });
  const parameters = [...backbone.parameters(), ...objective.head.parameters()];
  const optimizer = new AdamW([
    { params: parameters.filter((p) => p.dim() > 1), lr: recipe.lr, weight_decay: 0.05 },
    { params: parameters.filter((p) => p.dim() <= 1), lr: recipe.lr, weight_decay: 0 },
  ]);
  const labelledOnly = recipe.objective === "classification";
  const stepsPerEpoch = Math.floor(batches.epochEntries(0, labelledOnly).length / recipe.batchSize);
  const schedule = rate(recipe.epochs * stepsPerEpoch);
  let step = 0;
  for (let epoch = 0; epoch < recipe.epochs; epoch++) {
    backbone.train();
    const entries = batches.epochEntries(epoch, labelledOnly);
    let total = 0;
    for (let i = 0; i < stepsPerEpoch; i++) {
      const views = await batches.views(
        entries.slice(i * recipe.batchSize, (i + 1) * recipe.batchSize),
        objective.paired,
        step,
      );
      for (const group of optimizer.groups) group.lr = recipe.lr * schedule(step);
      const enabled = recipe.precision === "bfloat16";
      const loss = scope(() => autocast({ dtype: "bfloat16", enabled }, () => objective.loss(backbone, views)));
      scope(() => {
        loss.backward();
        clipGradNorm(parameters, 5);
        optimizer.step();
        optimizer.zeroGrad();
        total += loss.item();
      });
      loss.dispose();
      disposeTree(views);
      step += 1;
    }
    const seconds = Math.round((performance.now() - began) / 1000);
    console.error(
      `${recipe.name} epoch ${epoch + 1}/${recipe.epochs} loss ${(total / stepsPerEpoch).toFixed(4)} (${seconds} s)`,
    );
  }
  const quality = await measure(recipe, batches, backbone, objective);
  const sha256 = saveHalf(recipe.name, backbone.stateDict());
  const minutes = Math.round((performance.now() - began) / 6000) / 10;
  const record = {
    name: recipe.name,
    featureWidth: backbone.featureWidth,
    sha256,
    quality,
    epochs: recipe.epochs,
    minutes,
  };
  appendJsonLine(recordsOf(flags.hub), record);
  console.error(`${recipe.name}: ${quality}, ${minutes} minutes`);
  for (const owned of [backbone, objective.head, optimizer, streams, batches]) owned.dispose();
  return record;
}

/** Warm-up over a twentieth of the steps, then a half cosine. */
function rate(total: number): (step: number) => number {
  const warm = Math.ceil(total / 20);
  return (step) => (step < warm ? (step + 1) / warm : 0.5 * (1 + Math.cos((Math.PI * (step - warm)) / (total - warm))));
}

async function measure(
  recipe: Recipe,
  batches: SourceBatches,
  backbone: ReturnType<typeof createBackbone>,
  objective: ReturnType<typeof createObjective>,
): Promise<string> {
  backbone.eval();
  objective.head.eval();
  const entries = batches.heldOutEntries(recipe.objective === "classification");
  if (entries.length === 0) return `${objective.measure}: not measured, no image is held out`;
  let score = 0;
  for (let start = 0; start < entries.length; start += recipe.batchSize) {
    const views = await batches.views(entries.slice(start, start + recipe.batchSize), objective.paired, 1e6 + start);
    score += scope(() => inferenceMode(() => objective.score(backbone, views)));
    disposeTree(views);
  }
  return `${objective.measure}: ${((100 * score) / entries.length).toFixed(1)} % on ${entries.length} held-out augmented images`;
}

/** Writes the backbone in float16 and returns the file's hash. */
function saveHalf(name: string, state: Map<string, Tensor>): string {
  const path = join(hubFolder, `${name}.safetensors`);
  const half = new Map<string, Tensor>();
  for (const [key, value] of state) {
    half.set(
      key,
      value.dtype === "float32"
        ? value.detach().to({ dtype: "float16", memory_format: "contiguous_format" })
        : value.detach().clone(),
    );
  }
  writeSafetensors(path, half, { format: "pt" });
  disposeTree(half);
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function manifest(records: readonly MemberRecord[]): unknown {
  return {
    version: manifestVersion,
    name: flags.hub,
    members: recipes.map((recipe) => {
      const record = records.find((candidate) => candidate.name === recipe.name);
      if (!record) throw new Error(`${recipe.name} is not trained yet`);
      const sources = recipe.data.map((name) => findDataset(name));
      return {
        name: recipe.name,
        architecture: recipe.architecture,
        config: recipe.config,
        weights: { file: `${recipe.name}.safetensors`, format: "safetensors", sha256: record.sha256 },
        featureWidth: record.featureWidth,
        input: { kind: "image", size: recipe.size ?? imageSize, ...normalisation },
        pretraining: {
          data: sources.map((source) => source.name).join(", "),
          paradigm: recipe.paradigm,
          quality: record.quality,
        },
        licence: "Apache-2.0",
        source: `this project, npm run pretrain-hub, from ${sources.map((source) => source.origin).join("; ")}`,
      };
    }),
  };
}

/** Record of a member that the starter hub has, after a copy of its weights and its record; undefined for others. */
function copyFromStarter(name: string): MemberRecord | undefined {
  const record = recordOf("starter", name);
  if (!record) return undefined;
  const file = `${name}.safetensors`;
  copyFileSync(join(hubs, "starter", file), join(hubFolder, file));
  appendJsonLine(recordsOf(flags.hub), record);
  return record;
}

async function main(): Promise<void> {
  if (recipes.length === 0) throw new Error(`no hub "${flags.hub}"; there are: ${Object.keys(hubRecipes).join(", ")}`);
  mkdirSync(hubFolder, { recursive: true });
  const records: MemberRecord[] = [];
  for (const recipe of recipes) {
    const done = recordOf(flags.hub, recipe.name) ?? copyFromStarter(recipe.name);
    if (done) records.push(done);
    else if (!flags.member || flags.member === recipe.name) records.push(await pretrain(recipe));
  }
  if (records.length === recipes.length) {
    writeFileAtomic(join(hubFolder, "hub.json"), [`${JSON.stringify(manifest(records), null, 2)}\n`]);
    console.error(`wrote ${join(hubFolder, "hub.json")}`);
  }
}

await main();
