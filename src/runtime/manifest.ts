/**
 * bundle.json: the parts of a trained run as files, and how they belong together. Raise the version with the list of fields.
 * Version 2 has a task, which says what answers are; without one they are classes, and the version stays 1.
 *
 *     bundle.json                    this; written with all files beside it, or not at all
 *     router.onnx                    images to scores of all models; none where there is one model
 *     members/NAME.onnx              images to logits
 *     selftest/selftest.safetensors  images with the answers that any runtime must give
 *     README.md                      a model card
 */
import {
  BundleError,
  type Checked,
  constant,
  either,
  list,
  matching,
  number,
  pair,
  record,
  table,
  text,
  whole,
} from "./check.ts";

/** The newest; each is read. */
export const bundleVersion = 2;
export const manifestName = "bundle.json";

const filePath = matching(/^(?:[a-z0-9][\w-]*\/)?[a-z0-9][\w.-]*$/i, "a file of the bundle");

const memberFields = {
  name: text,
  file: filePath,
  /** Its place among the router's scores. */
  index: whole(0),
  featureWidth: whole(1),
  /** What its file does with the images before its network sees them. */
  preprocessing: record({
    sides: pair(whole(1), whole(1)),
    mean: list(number(), 3, 3),
    std: list(number(), 3, 3),
    interpolation: text,
    channelOrder: text,
  }),
  licence: text,
  source: text,
  pretraining: text,
};

const count = number(0);
const share = number(0, 1);
const confidence = number(Number.MIN_VALUE, 1);

const member = record(memberFields, {
  /** Of one image, its head among them; nothing in older bundles. */
  flops: count,
});

const measuring = { items: whole(0), time: text };
/** Accuracy; of several labels the mean average precision, of numbers R2. */
const figure = either(record({ accuracy: number() }, measuring), record({ score: number() }, measuring));
const above0 = number(Number.MIN_VALUE);

const task = either(
  /** Probability of each label from which on an image has it. */
  record({ kind: constant("multi-label"), thresholds: list(share, 1) }),
  /** A number is a logit times its deviation, plus its mean. */
  record({ kind: constant("regression"), means: list(number(), 1), deviations: list(above0, 1) }),
);

const leftOut = { minShare: share, members: list(record({ name: text, share }), 1) };

const bundle = record(
  {
    version: either(constant(1), constant(bundleVersion)),
    name: text,
    method: text,
    /** Names of classes, labels or numbers, in the order of the logits. */
    labels: list(text, 1),
    /** What all files take: squares [n, 3, size, size] of red, green and blue in [0, 1]. */
    images: record({ size: whole(1), range: pair(constant(0), constant(1)) }),
    /** Models that are activated for each image, at most where there is a confidence: those with the largest scores. */
    k: whole(1),
    /** Sum of the activated models' logits, or of their answers, each times its weight. */
    aggregation: either(constant("weighted-logits"), constant("weighted-probabilities")),
    /** Softmax of the activated scores over a temperature, or the same weight for each; `larger` is for more models than in training. */
    weights: record({ trainedK: whole(1), temperature: either(constant("equal"), above0) }, { larger: above0 }),
    members: list(member, 1),
    /** Figure on validation images, and the last noted reading of the test split. */
    measured: record({}, { validation: figure, test: figure }),
    /** `tolerance`: differences of scores and probabilities that another runtime may have (default 0.001). */
    selfTest: record({ file: filePath, images: whole(1) }, { tolerance: above0 }),
    files: table(filePath, record({ bytes: whole(0), sha256: matching(/^[0-9a-f]{64}$/, "64 hexadecimal digits") })),
  },
  {
    /** What answers are, where they are not one class of each image. */
    task,
    router: record({ file: filePath, scores: whole(1) }, { flops: count }),
    /** Where an image asks models one after the other: the probability at which it stops. */
    confidence,
    /** Nats that a model has to save for each GFLOP, where the order is not that of the scores alone. */
    price: count,
    /** Choices of models that were measured on the run's validation images, from the cheapest to the most accurate. */
    budgets: list(
      record({ k: whole(1), price: count, accuracy: share, flops: count }, { confidence, models: list(whole(0), 1) }),
      1,
    ),
    /** Weights of the models for every image, where no router chooses: by their places, summing to 1. */
    shares: list(number(0, 1), 1),
    /** Models that were not exported since few validation images activate them, and what that cost there. */
    leftOut: either(
      record({ ...leftOut, accuracy: share, runAccuracy: share }),
      record({ ...leftOut, score: number(), runScore: number() }),
    ),
    /** Temperature of the probabilities: see `tempered`. */
    calibration: record({ temperature: above0 }),
    /**
     * Answers below the threshold are "I don't know": see `isRejected`. On the run's validation images so many are answered, and so many
     * of these answers are wrong; `errorLimit` is the upper end of the error's one-sided 95 % interval.
     */
    rejection: record(
      { threshold: number(0, 1) },
      { coverage: number(0, 1), error: number(0, 1), errorLimit: number(0, 1), items: whole(1) },
    ),
    /** How the models' weights are stored; "int8" ones compute with whole numbers (default "float32"). */
    precision: either(constant("float32"), either(constant("float16"), constant("int8"))),
    /** Answers of the files on the run's validation images, beside the run's own; the reason where they were not compared. */
    gate: either(
      record({ skipped: text }),
      either(
        record(
          { items: whole(1), accuracy: share, runAccuracy: share, otherLabels: whole(0) },
          /** With the threshold of `rejection`: answers that are given, and wrong ones among them. */
          { answered: whole(0), wrong: whole(0) },
        ),
        /**
         * Images with other labels, or a number that is off by a hundredth of its deviation; and over all images the share of labels that
         * are told otherwise, or by how many deviations a number is off on average.
         */
        record(
          { items: whole(1), score: number(), runScore: number(), otherAnswers: whole(0) },
          { difference: number(0) },
        ),
      ),
    ),
  },
);

export type Bundle = Checked<typeof bundle>;

/**
 * The manifest in a text.
 * @param where its file or address, for messages
 * @throws BundleError when it is of another version or no manifest
 */
export function parseBundle(content: string, where: string): Bundle {
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch (cause) {
    throw new BundleError(`${where} is not JSON, so it is not the manifest of a bundle`, { cause });
  }
  try {
    const { version } = (json ?? {}) as { version?: unknown };
    if (Number.isFinite(version) && version !== 1 && version !== bundleVersion) {
      throw new BundleError(
        `it has version ${version}, and this program reads 1 to ${bundleVersion}: export the run again`,
      );
    }
    const manifest = bundle(json, "");
    requireParts(manifest);
    return manifest;
  } catch (cause) {
    if (!(cause instanceof BundleError)) throw cause;
    throw new BundleError(`${where} is not the manifest of a bundle: ${cause.message}`, { cause });
  }
}

/** Number of places m among scores and weights. */
export function placesOf({ router, shares }: Pick<Bundle, "router" | "shares">): number {
  return router?.scores ?? shares?.length ?? 1;
}

/** Every file that is named is listed, and every place of a model is one that the router scores. */
function requireParts(bundle: Bundle): void {
  const { router, members, selfTest, files, k, labels, task } = bundle;
  const named = [...(router ? [router.file] : []), ...members.map(({ file }) => file), selfTest.file];
  const missing = named.find((file) => !Object.hasOwn(files, file));
  if (missing !== undefined) throw new BundleError(`files: ${missing} is expected`);
  const perLabel = task ? (task.kind === "multi-label" ? [task.thresholds] : [task.means, task.deviations]) : [];
  if (perLabel.some((values) => values.length !== labels.length))
    throw new BundleError(`task: ${labels.length} values are expected, one for each of labels`);
  const scores = placesOf(bundle);
  const places = new Set(members.map(({ index }) => index));
  if (bundle.budgets?.some(({ models = [] }) => models.some((index) => !places.has(index))))
    throw new BundleError("budgets: places of models that are members are expected");
  if (members.some(({ index }) => index >= scores))
    throw new BundleError(`members: places below ${scores} are expected`);
  if (
    (bundle.price || bundle.budgets?.some(({ price }) => price > 0)) &&
    members.some(({ flops }) => flops === undefined)
  )
    throw new BundleError("members: the flops of each are expected, since choices have a price");
  if (k > members.length) throw new BundleError(`k: at most ${members.length} is expected`);
}
