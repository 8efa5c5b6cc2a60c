/** A finished run's parts, computed by libtorch. n rows, m members, C classes. */

import { PathwayLearner, restorePredictor } from "../../methods/index.ts";
import { FoldedNorms } from "../../nn/index.ts";
import { answerWords, type Rule } from "../../runtime/index.ts";
import { disposeTree, inferenceMode, scope, type Tensor, tensor } from "../../torch/index.ts";
import { type OpenedRun, type OpenRunOptions, openRun, type Predictor, storedTask } from "../../train/index.ts";
import type { ModelInfo, ModelParts, OpenBatch, Pixels } from "./parts.ts";

/** @throws UserError when the folder holds no finished run; ConfigError for a k that it cannot have */
export function openRunParts(path: string, options: OpenRunOptions = {}): ModelParts {
  const run = openRun(path, restorePredictor, options);
  const { predictor } = run;
  if (predictor instanceof PathwayLearner && !predictor.module.isRandom) return new RoutedRun(run, predictor, options);
  return new WholeRun(run, options);
}

abstract class RunParts {
  readonly #run: OpenedRun;
  readonly #device: string | undefined;
  readonly #folds = new FoldedNorms();

  constructor(run: OpenedRun, { device }: OpenRunOptions) {
    this.#run = run;
    this.#device = device;
  }

  protected images({ bytes, rows }: Pixels): Tensor {
    const { imageSize: size } = this.#run.config.data.form;
    return tensor(bytes, { shape: [rows, size, size, 3] })
      .permute([0, 3, 1, 2])
      .to({ dtype: "float32" })
      .mul(1 / 255)
      .contiguous()
      .to({ device: this.#device });
  }

  /** Tensors that the function returns, or what `use` makes of them, are all that stays. */
  protected inScope<T>(fn: () => T): T;
  protected inScope<T, R>(fn: () => T, use: (result: T) => R): R;
  protected inScope<T, R>(fn: () => T, use?: (result: T) => R): T | R {
    return scope(() => inferenceMode(() => this.#folds.run(() => (use ? use(fn()) : fn()))));
  }

  async dispose(): Promise<void> {
    this.#folds.dispose();
    this.#run.dispose();
  }
}

function described({
  config,
  task,
  calibration,
  rejection,
}: OpenedRun): Omit<ModelInfo, "members" | "rule" | "choices"> {
  const { imageSize: size, fit } = config.data.form;
  const stored = storedTask(task);
  return {
    ...(stored ? { task: stored } : {}),
    ...{ kind: "run", labels: config.classes, size, ...(fit ? { fit } : {}) },
    ...(calibration ? { temperature: calibration.temperature } : {}),
    ...(rejection ? { rejectBelow: rejection.threshold } : {}),
  };
}

/** A run that routes by scores: each member is a part of its own. */
class RoutedRun extends RunParts implements ModelParts {
  readonly info: ModelInfo;
  readonly #learner: PathwayLearner;

  constructor(run: OpenedRun, learner: PathwayLearner, options: OpenRunOptions) {
    super(run, options);
    const { memberNames, largestK, budgets, flopsByK: flops, rule } = learner;
    this.#learner = learner;
    const choices = { largestK, isOrdered: true, answers: answersOf(run), budgets, flops };
    this.info = { ...described(run), members: memberNames, rule, choices };
  }

  async open(pixels: Pixels): Promise<OpenBatch> {
    const { module, memberNames } = this.#learner;
    const { images, scores } = this.inScope(() => {
      const images = this.images(pixels);
      return { images, scores: module.generator.forward(images) };
    });
    const batch = this.#learner.ask(images, scores);
    const [m, device] = [memberNames.length, images.device];
    return {
      scores: scores.toTypedArray() as Float32Array,
      run: async (member, rows) => {
        const own = Array.from({ length: m }, (_, i) => (i === member ? [...rows] : []));
        this.inScope(() => batch.run(own));
      },
      join: async (weights) =>
        this.inScope(() => batch.join(tensor(weights, { shape: [pixels.rows, m] }).to({ device })), numbersOf),
      dispose: () => disposeTree([images, scores, batch.found]),
    };
  }

  resident(): number {
    return this.#learner.largestK;
  }
}

/** Any other run: one model, or several that only answer together. */
class WholeRun extends RunParts implements ModelParts {
  readonly info: ModelInfo;
  readonly #predictor: Predictor;

  constructor(run: OpenedRun, options: OpenRunOptions) {
    super(run, options);
    const { predictor } = run;
    this.#predictor = predictor;
    const rule: Rule = { k: 1, weights: { trainedK: 1, temperature: "equal" }, members: [{ index: 0 }] };
    this.info = {
      ...described(run),
      members: [predictor.memberNames.join(" + ")],
      rule,
      choices: { isOrdered: false, answers: answersOf(run) },
    };
  }

  async open(pixels: Pixels): Promise<OpenBatch> {
    let probabilities = new Float32Array();
    return {
      scores: undefined,
      run: async () => {
        probabilities = this.inScope(() => this.#predictor.predict(this.images(pixels)).probabilities, numbersOf);
      },
      join: async () => probabilities,
      dispose: () => {},
    };
  }

  resident(): number {
    return this.#predictor.memberNames.length;
  }
}

/** What answers are, where no probability of one says how sure it is. */
const answersOf = ({ config: { task } }: OpenedRun) => task && answerWords[task];

/** Numbers may come in 64 bits. */
const numbersOf = (result: Tensor): Float32Array<ArrayBuffer> =>
  result.to({ dtype: "float32" }).toTypedArray() as Float32Array<ArrayBuffer>;
