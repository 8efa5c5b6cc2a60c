/** Plan of a run, printed before it begins. */
import type { TaskKind } from "../data/index.ts";
import type { SplitName, TaskData } from "./data.ts";
import { type OptionNeeds, type RequestedOptions, resolveOptions, type TrainOptions } from "./options.ts";

export interface RunPlan {
  /** What the labels are; one class of each image when left out. */
  task?: TaskKind | undefined;
  /** Number of classes, or of numbers. */
  classes: number;
  /** Images in each split. */
  images: Record<SplitName, number>;
  /** Unreadable images that were left out. */
  skipped: number;
  /** Side of the images, pixels. */
  imageSize: number;
  members: string[];
  /** Members that run for each image. */
  activated: number | undefined;
  epochs: number;
  /** True when the epochs were chosen here: nobody asked for a number of epochs or steps. */
  chosen: boolean;
  /** Steps in all. */
  steps: number;
  keep: "best" | "last";
}

export interface Planned {
  options: TrainOptions;
  plan: RunPlan;
}

/** The options of a run, and what is to be said of it. */
export function planRun(
  requested: RequestedOptions,
  { activated, generatorFactor }: Partial<Pick<OptionNeeds, "generatorFactor">> & { activated?: number | undefined },
  members: readonly string[],
  data: Pick<TaskData, "kind" | "classes" | "counts" | "skipped" | "imageSize" | "train">,
): Planned {
  const m = members.length;
  const { stepsPerEpoch } = data.train;
  const images = data.counts.train;
  const needs = { stepsPerEpoch, images, epochsOfOnePass: m / (activated ?? m), generatorFactor };
  const options = resolveOptions(requested, needs);
  const plan = {
    ...(data.kind === "classification" ? {} : { task: data.kind }),
    classes: data.classes.length,
    images: data.counts,
    skipped: data.skipped,
    imageSize: data.imageSize,
    members: [...members],
    activated,
    epochs: options.epochs,
    chosen: requested.epochs === undefined && requested.iterations === undefined,
    steps: options.iterations ?? options.epochs * stepsPerEpoch,
    keep: options.keep ?? ("best" as const),
  };
  return { options, plan };
}
