/**
 * Add an ONNX network to a hub and fine-tune it.
 *
 *   npx tsx examples/onnx-model.ts ./photos net.onnx [folder of the new hub]
 *
 * Each operator of the graph becomes calls of libtorch, and its initializers become parameters: the network is trained
 * like any other, by fine-tuning as here, or as one of many members by Hub-Pathway. TensorFlow.js works the same way.
 */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { describeHub, openHub, Predictor, train, verifyHub } from "hub-pathway";
import { addMember } from "hub-pathway/hub";

const [images, model, hub = "my-hub"] = process.argv.slice(2);
if (!images || !model) throw new Error("npx tsx examples/onnx-model.ts ./photos net.onnx");

const name = basename(model, ".onnx");

if (!existsSync(hub)) {
  // Preparation of the images, which the file cannot say: side in pixels, and normalisation of values in [0, 1].
  const input = { size: 32, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  const { entry, notes } = await addMember({ hub, name, source: model, wishes: { input, licence: "unknown" } });
  console.log(`${name}: ${entry.featureWidth} features of each image`);
  for (const note of notes) console.log(`  ${note}`);
}

const opened = openHub(hub);
for (const { name: own, parameters, flops } of describeHub(opened)) {
  console.log(`${own}: ${parameters} parameters, ${(flops / 1e6).toFixed(1)} MFLOPs an image`);
}

// Hashes, shapes, and a forward pass of each member.
const broken = verifyHub(opened).filter((report) => report.problems.length > 0);
if (broken.length > 0) throw new Error(`${hub} is damaged: ${JSON.stringify(broken)}`);

const run = await train({ images, hub, out: `${hub}-run`, method: "fine-tune", choices: { member: name } });
console.log(`accuracy ${(100 * run.validation.accuracy).toFixed(1)} % on validation images`);

using predictor = await Predictor.open(run.path);
console.log(`${run.path} labels images as ${predictor.classes.join(", ")}`);
