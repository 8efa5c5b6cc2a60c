/** Members of a finished run, which can answer alone. B images, C classes. */
import { ConfigError, ones, type Tensor } from "../../torch/index.ts";
import {
  type BatchSource,
  ClassificationTask,
  type Evaluation,
  type EvaluationOptions,
  evaluate,
  evaluateVariants,
  type Predictor,
} from "../../train/index.ts";
import { EnsemblePredictor } from "../ensemble-predictor.ts";
import { PathwayLearner } from "../pathway-learner.ts";
import type { Answers } from "./policies.ts";

export interface RunMembers {
  /** Positions among the predictor's members. */
  places: number[];
  /** FLOPs of each with its head, for an image. */
  costs: number[];
  /** Probabilities of one of them, [B, C]. */
  alone(images: Tensor, i: number): Tensor;
  answers(
    batches: BatchSource,
    classes: number,
    options: EvaluationOptions,
  ): Promise<Answers & Pick<Evaluation, "indices">>;
}

/** Members of a run that can answer alone. @throws ConfigError where fewer than two can */
export function membersOf(predictor: Predictor): RunMembers {
  if (predictor instanceof PathwayLearner && predictor.largestK > 1) return ofPathway(predictor);
  if (predictor instanceof EnsemblePredictor && predictor.parts.length > 1) return ofEnsemble(predictor.parts);
  throw new ConfigError("one model answers in this run, so that there is nothing to choose: leave out --mode");
}

function ofPathway(predictor: PathwayLearner): RunMembers {
  const { costs, places } = predictor.alone();
  const variants = places.map((i) => ({ k: 1, models: [i] }));
  return {
    places,
    costs,
    // Without the generator's scores, which have no say where one model answers.
    alone(images, i) {
      const all = Array.from({ length: images.size(0) }, (_, row) => row);
      const weights = ones([all.length, predictor.memberNames.length], { device: images.device });
      const asked = predictor.ask(images, weights);
      asked.run(predictor.memberNames.map((_, j) => (j === places[i] ? all : [])));
      return asked.join(weights);
    },
    async answers(batches, classes, options) {
      const found = await evaluateVariants(predictor, batches, new ClassificationTask(classes), variants, options);
      const [{ labels = [], indices = [] } = {}] = found;
      return { tables: found.flatMap((one) => one?.probabilities ?? []), labels, indices, classes };
    },
  };
}

function ofEnsemble(parts: readonly Predictor[]): RunMembers {
  return {
    places: parts.map((_, i) => i),
    costs: parts.map(({ inferenceFlops }) => inferenceFlops),
    alone: (images, i) => (parts[i] as Predictor).predict(images).probabilities,
    async answers(batches, classes, options) {
      const tables: Float32Array[] = [];
      let [labels, indices]: number[][] = [[], []];
      for (const part of parts) {
        const evaluation = await evaluate(part, batches, classes, options);
        tables.push(evaluation.probabilities);
        ({ labels, indices } = evaluation);
      }
      return { tables, labels: labels ?? [], indices: indices ?? [], classes };
    },
  };
}
