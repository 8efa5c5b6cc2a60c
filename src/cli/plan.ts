/** The plan of a training in a few lines; and the pictures' own size, which tells whether details are lost. */
import sharp from "sharp";
import { type ImageSource, openDataset, type TaskKind } from "../data/index.ts";
import { counted, shown } from "../io/quoted.ts";
import type { RunPlan } from "../train/index.ts";
import { outputsText } from "../train/metrics.ts";
import type { Output } from "./context.ts";
import { terminal } from "./terminal.ts";

/** Pictures whose size is looked at. */
const sampled = 24;
/** Times that pictures are shrunk before the user is warned. */
const muchShrunk = 4;

/** Facts that the plan needs beside the run's own. */
export interface PlanContext {
  method: string;
  hub: string;
  /** True when the user chose the images' size, false when it follows from the models; undefined for a run that goes on. */
  sizeIsChosen: boolean | undefined;
  /** True when --auto chose size and epochs. */
  isAutomatic?: boolean | undefined;
  /** Longer side of a usual picture, pixels; undefined where the files do not say. */
  pictureSide: number | undefined;
  threads: number;
  device: string;
}

export function sayPlan(plan: RunPlan, context: PlanContext, output: Output): void {
  for (const [name, text] of planLines(plan, context)) terminal.progress(`${name.padEnd(9)} ${text}`);
  const { pictureSide = 0 } = context;
  if (pictureSide < muchShrunk * plan.imageSize) return;
  const remedy = context.sizeIsChosen
    ? "A larger --image-size"
    : "Models that take larger images (--hub), or --image-size,";
  output.warn(
    `pictures of about ${pictureSide} px become ${plan.imageSize} px: what is small in them is lost. ` +
      `${remedy} keeps more and takes longer`,
  );
}

function planLines(plan: RunPlan, context: PlanContext): [string, string][] {
  const { images, imageSize, members, activated } = plan;
  const m = members.length;
  const part = activated === undefined ? 0 : Math.round((100 * activated) / m);
  const routes =
    activated === undefined ? "" : `: ${activated} of ${m} models for each image, about ${part} % of the cost of all`;
  const excluded = plan.skipped > 0 ? `, ${plan.skipped} unreadable ones left out` : "";
  const test = images.test > 0 ? `${images.test} to test` : "none to test";
  const sizes = { true: ", as --image-size says", false: ", as the models take them", undefined: "" };
  const kept = plan.keep === "best" ? "; the best one on validation images is kept" : "";
  const threads = `${context.threads} thread${context.threads === 1 ? "" : "s"}`;
  return [
    [
      "images",
      `${outputsText(plan.task, plan.classes)}: ${images.train} to train, ${images.validation} to validate, ${test}${excluded}`,
    ],
    [
      "size",
      `${imageSize} px${context.isAutomatic ? byAuto : sizes[`${context.sizeIsChosen}`]}${pictureText(context.pictureSide)}`,
    ],
    ["hub", `${shown(context.hub)}, ${counted(m, "model")}: ${members.map(shown).join(", ")}`],
    ["method", `${context.method}${routes}`],
    ["epochs", `${plan.epochs}${context.isAutomatic ? byAuto : reason(plan)}${kept}`],
    ["running", `on ${context.device} with ${threads}, ${plan.steps} steps`],
  ];
}

function pictureText(side: number | undefined): string {
  return side === undefined ? "" : `; pictures are about ${side} px`;
}

const byAuto = ", as --auto chose";

/** Why there are so many epochs. */
function reason({ chosen, images, epochs, members, activated }: RunPlan): string {
  if (!chosen) return ", as asked for";
  const m = members.length;
  if (activated === undefined || activated === m) return `, usual for ${images.train} images (--epochs changes it)`;
  const passes = Math.round((epochs * activated) / m);
  return `: each model sees every image about ${passes} times, since ${activated} of ${m} see it at a time (--epochs changes it)`;
}

type Encoded = Extract<ImageSource, { kind: "file" | "shard" }>;

async function sizeOf(from: Encoded): Promise<{ width: number; height: number }> {
  return sharp(from.kind === "file" ? from.path : await from.shard.read(from.offset, from.length)).metadata();
}

/**
 * Longer side in pixels of the pictures in the middle, by size, of a sample; undefined for what is in no image files.
 * @throws UserError when there is no such data set
 */
export async function usualPictureSide(source: string, task?: TaskKind): Promise<number | undefined> {
  const { items } = await openDataset(source, { task });
  const encoded = items.flatMap(({ source: from }) => (from.kind === "file" || from.kind === "shard" ? [from] : []));
  const stride = Math.max(1, Math.floor(encoded.length / sampled));
  const sides: number[] = [];
  for (let i = 0; i < encoded.length && sides.length < sampled; i += stride) {
    const { width, height } = await sizeOf(encoded[i] as Encoded).catch(() => ({ width: 0, height: 0 }));
    if (width > 0) sides.push(Math.max(width, height));
  }
  return sides.sort((a, b) => a - b)[Math.floor(sides.length / 2)];
}
