/** What the server takes and gives, as schemas: checks, types of the client, and the OpenAPI page come from these. */
import { z } from "zod";

const share = z.number().min(0).max(1);
const classProbability = z.object({ label: z.string(), probability: share });

/** A switch in a query: `?explain`, `?explain=1`, `?explain=true`. */
const flag = z.enum(["", "0", "1", "false", "true"]).transform((text) => !["0", "false"].includes(text));

/** Choices of a request, as query parameters. */
export const predictQuery = z.strictObject({
  model: z.string().optional().meta({ description: "Name of the model; the first one when left out." }),
  k: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .meta({ description: "Activated members for each image; with a confidence, at most so many." }),
  confidence: z.coerce.number().gt(0).max(1).optional().meta({
    description:
      "Members are asked one after the other, in the order of their scores, until the answer is this probable: of k at most, or within flops.",
  }),
  flops: z.coerce.number().positive().optional().meta({
    description:
      "Instead of k: FLOPs that an image may cost, on average. The most accurate choice that was measured within them answers; without such choices the largest k.",
  }),
  top: z.coerce.number().int().min(1).max(10_000).default(1).meta({ description: "Classes for each image." }),
  explain: flag
    .optional()
    .meta({ description: "1: scores, each activated member's own opinion, and their agreement." }),
  deadline: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .meta({ description: "Milliseconds in which the answer is of use; at most the server's own deadline." }),
});

const base64 = z.base64().min(4);

/** A request in JSON: one image or several, encoded as files are, in base64. */
export const predictBody = z.strictObject({
  image: base64.optional().meta({ description: "One image file in base64." }),
  images: z.array(base64).min(1).optional().meta({ description: "Several of them." }),
});

export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().meta({ description: "What is wrong, and what to do." }),
  code: z.string().meta({ description: "The kind of problem, for programs." }),
  field: z.string().optional().meta({ description: "The part of the request that is wrong." }),
});

const labelsAnswer = {
  labels: z
    .array(classProbability)
    .meta({ description: "Labels whose probability is at least their threshold, first the most probable." }),
  top: z.array(classProbability).meta({ description: "The most probable labels, whether an image has them or not." }),
};
const numbersAnswer = {
  values: z
    .record(z.string(), z.number())
    .meta({ description: "By the names of the model's labels, each in its unit." }),
};

/** @param answer of a member alone */
function explanationWith<S extends z.ZodRawShape>(answer: S) {
  return z.object({
    scores: z
      .record(z.string(), z.number())
      .meta({ description: "The router's score of each member; empty where none routes." }),
    opinions: z
      .array(z.object({ member: z.string(), weight: share, ...answer }))
      .meta({ description: "What each activated member answers alone." }),
  });
}

const explanation = explanationWith({ top: z.array(classProbability) }).extend({
  agreement: share.meta({ description: "Weight of the activated members whose own label is the answer's." }),
});

const degradation = z.object({
  without: z.array(z.string()).meta({ description: "Members that were to answer, and failed or were too slow." }),
  k: z.int().optional().meta({ description: "Activated members, where the load lowered their number." }),
});

const answered = {
  pathway: z
    .array(z.object({ member: z.string(), weight: share }))
    .meta({ description: "Members that were activated, by weight." }),
  degraded: degradation.optional().meta({ description: "Present where the answer is not all that was asked for." }),
};

const prediction = z.object({
  label: z.string(),
  probability: share,
  top: z.array(classProbability).meta({ description: "The most probable classes, first the most probable." }),
  ...answered,
  rejected: z
    .boolean()
    .optional()
    .meta({ description: 'True: "I don\'t know". Present where the model has a threshold of the probability.' }),
  explanation: explanation.optional(),
});

const labelsPrediction = z.object({
  ...labelsAnswer,
  ...answered,
  explanation: explanationWith(labelsAnswer).optional(),
});

const numbersPrediction = z.object({
  ...numbersAnswer,
  ...answered,
  explanation: explanationWith(numbersAnswer).optional(),
});

/** An image of several that has no answer. */
const failure = z.object({ problem: problemSchema });

export const predictAnswer = z.object({
  model: z.string(),
  predictions: z
    .array(z.union([prediction, labelsPrediction, numbersPrediction, failure]))
    .meta({ description: "One for each image, in their order; of which kind says the model's task." }),
});

export const modelDescription = z.object({
  name: z.string(),
  kind: z.enum(["run", "bundle"]),
  ready: z.boolean(),
  task: z.enum(["classification", "multi-label", "regression"]).meta({ description: "What its answers are." }),
  labels: z.array(z.string()).meta({ description: "Names of classes, labels or numbers." }),
  thresholds: z
    .array(share)
    .optional()
    .meta({ description: "Probability of each label from which on an image has it, in the order of labels." }),
  members: z.array(z.string()),
  imageSize: z.int(),
  k: z.int().meta({ description: "Activated members of an image, at most where there is a confidence." }),
  confidence: share.optional().meta({ description: "Probability at which no further member is asked." }),
  largestK: z.int().optional(),
  budgets: z
    .array(z.object({ flops: z.number(), accuracy: share }))
    .optional()
    .meta({ description: "What `flops` chooses from: mean cost of an image, and accuracy on validation images." }),
});
export const modelList = z.object({ models: z.array(modelDescription) });

export const readiness = z.object({ ready: z.boolean(), models: z.record(z.string(), z.string()) });

export type PredictQuery = z.output<typeof predictQuery>;
export type PredictOptions = Partial<PredictQuery>;
export type PredictAnswer = z.output<typeof predictAnswer>;
export type ServedPrediction = z.output<typeof prediction>;
/** Answer of a model that gives several labels. */
export type ServedLabels = z.output<typeof labelsPrediction>;
/** Answer of a model that gives numbers. */
export type ServedNumbers = z.output<typeof numbersPrediction>;
export type AnyServed = ServedPrediction | ServedLabels | ServedNumbers;
export type ServedFailure = z.output<typeof failure>;
export type ProblemDetails = z.output<typeof problemSchema>;
export type ModelDescription = z.output<typeof modelDescription>;
