/**
 * Train on a folder of labelled images, then label one of them.
 *
 *   npx tsx examples/train-on-a-folder.ts ./photos [hub] [runs/photos]
 *
 * The folder has one sub-folder for each class: photos/cat/1.jpg, photos/dog/7.png. Without a hub the starter hub is used.
 */
import { imageFolder, Predictor, type RunEvent, train } from "hub-pathway";

const [images, hub, out] = process.argv.slice(2);
if (!images) throw new Error("which images? npx tsx examples/train-on-a-folder.ts ./photos");

/** One line for each epoch; a program with a progress bar reads the same events. */
function show(event: RunEvent): void {
  if (event.type === "plan") console.log(`${event.images.train} training images, ${event.epochs} epochs`);
  if (event.type !== "epoch") return;
  const { validation: found } = event;
  const validation = found && "accuracy" in found ? `, accuracy ${(100 * found.accuracy).toFixed(1)} %` : "";
  console.log(`epoch ${event.epoch}: loss ${event.loss.toFixed(3)}${validation}`);
}

// Everything but the images has a default: k is the number of models that run for each image.
const run = await train({ images, hub, out, k: 2, onEvent: show });
console.log(`${run.path}: accuracy ${(100 * run.validation.accuracy).toFixed(1)} % on validation images`);
for (const [member, share] of Object.entries(run.validation.runsOn)) {
  console.log(`  ${member} runs on ${(100 * share).toFixed(0)} % of the images`);
}

/** Path of an image of the folder. */
async function firstImage(folder: string): Promise<string> {
  const source = (await imageFolder(folder)).items[0]?.source;
  if (source?.kind !== "file") throw new Error(`${folder} has no image files`);
  return source.path;
}

// A run's folder is all that prediction needs: neither the hub nor the images.
using predictor = await Predictor.open(run.path);
const { label, probability, pathway } = await predictor.predict(await firstImage(images));
console.log(
  `first image: ${label}, ${(100 * probability).toFixed(0)} %, by ${pathway.map((part) => part.member).join(" and ")}`,
);
