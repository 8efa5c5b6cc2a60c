/** Requests and answers of the Open Inference Protocol, version 2, as far as images need them. */
import { z } from "zod";

const parameters = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

/** Outputs of a model by what its answers are; `rejected` is among them unasked where the model has a threshold. */
export const outputsOf = {
  classification: ["label", "probability", "probabilities", "rejected"],
  /** `present` is true for labels whose probability is at least their threshold. */
  "multi-label": ["probabilities", "present"],
  regression: ["values"],
} as const;
const outputNames = Object.values(outputsOf).flat();
export type OutputName = (typeof outputNames)[number];

export const inferRequest = z.object({
  id: z.string().max(1000).optional(),
  /** k, confidence or flops, as in the query of /predict. */
  parameters: parameters.optional(),
  inputs: z
    .array(
      z.object({
        name: z.string(),
        shape: z.array(z.int().min(0)).min(1).max(4),
        datatype: z.enum(["BYTES", "UINT8"]),
        data: z.array(z.unknown()).optional(),
        parameters: z
          .object({ binary_data_size: z.int().min(0).optional() })
          .loose()
          .optional(),
      }),
    )
    .length(1),
  outputs: z.array(z.object({ name: z.enum(outputNames) })).optional(),
});

export type InferRequest = z.output<typeof inferRequest>;

const tensor = z.object({
  name: z.string(),
  shape: z.array(z.int()),
  datatype: z.string(),
  data: z.array(z.union([z.string(), z.number(), z.boolean()])),
});

export const inferResponse = z.object({
  model_name: z.string(),
  model_version: z.string(),
  id: z.string().optional(),
  parameters: parameters.optional(),
  outputs: z.array(tensor),
});
