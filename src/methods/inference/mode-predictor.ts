/** A run that answers by a mode of inference in place of its routes. B images, C classes, m models. */
import { scope, type Tensor, tensor } from "../../torch/index.ts";
import type { EvaluationOptions, Prediction, Predictor } from "../../train/index.ts";
import { sideOf } from "./frontier.ts";
import { type ChosenMode, type ModeRequest, named, Settings, weightsOf } from "./modes.ts";
import type { Answered, Answers } from "./policies.ts";
import { membersOf, type RunMembers } from "./run-members.ts";

/**
 * A run that answers by a mode, with the best setting by known images. Images are answered one by one, each by no more members than
 * the setting asks of it: fewer FLOPs, in smaller products.
 */
export class ModePredictor implements Predictor {
  readonly memberNames: readonly string[];
  readonly parameters: number;
  /** On average over the known images. */
  readonly inferenceFlops: number;
  /** The chosen setting. */
  readonly setting: string;
  readonly #run: Predictor;
  readonly #members: RunMembers;
  readonly #classes: number;
  readonly #answer: (asked: Answers) => Answered;

  private constructor(run: Predictor, members: RunMembers, known: Answers, request: ChosenMode) {
    const settings = new Settings(members, request, { validation: known });
    const { candidate, reached } = settings.choose(sideOf("validation", known.labels.length));
    this.memberNames = run.memberNames;
    this.parameters = run.parameters;
    this.inferenceFlops = reached.flops;
    this.setting = named(candidate, members.places, run);
    this.#run = run;
    this.#members = members;
    this.#classes = known.classes;
    this.#answer = candidate.policy(known);
  }

  /**
   * Every member answers the known images first. The run stays its owner's until this predictor is disposed.
   * @throws ConfigError for a run of one member, and for FLOPs that no setting keeps to; Interrupted after the signal
   */
  static async open(
    run: Predictor,
    { known, classes, ...request }: Omit<ModeRequest, "asked">,
    options: EvaluationOptions = {},
  ): Promise<ModePredictor> {
    const members = membersOf(run);
    return new ModePredictor(run, members, await members.answers(known, classes, options), request);
  }

  predict(images: Tensor): Prediction {
    const count = images.size(0);
    const answers = Array.from({ length: count }, (_, row) => this.#one(images, row));
    const weights = weightsOf(
      answers.flatMap(({ used }) => used),
      this.#members.places,
      this.memberNames.length,
    );
    const probabilities = answers.flatMap((one) => [...one.probabilities]);
    return {
      probabilities: tensor(Float32Array.from(probabilities), { shape: [count, this.#classes] }),
      weights: tensor(weights, { shape: [count, this.memberNames.length] }),
    };
  }

  /** Members answer when they are looked at. */
  #one(images: Tensor, row: number): Answered {
    return scope(() => {
      const image = images.narrow(0, row, 1);
      const tables: Float32Array[] = [];
      for (const i of this.#members.costs.keys()) {
        let table: Float32Array | undefined;
        const get = () => {
          table ??= this.#members.alone(image, i).to({ dtype: "float32" }).toTypedArray() as Float32Array;
          return table;
        };
        Object.defineProperty(tables, i, { get, enumerable: true });
      }
      return this.#answer({ tables, labels: [-1], classes: this.#classes });
    });
  }

  eval(): void {
    this.#run.eval();
  }

  dispose(): void {
    this.#run.dispose();
  }
}
