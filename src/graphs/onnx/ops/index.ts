/**
 * All operators by their names in ONNX: what a listed file exports, under the name that it exports it by. call.ts has what an
 * operator's function is given, and the traits that say which of its inputs are trained. Helpers are in support.ts and spatial.ts.
 */
import type { OperatorFunction } from "../call.ts";
import * as activation from "./activation.ts";
import * as arithmetic from "./arithmetic.ts";
import * as attention from "./attention.ts";
import * as convolution from "./convolution.ts";
import { fused } from "./fused.ts";
import * as linear from "./linear.ts";
import * as logic from "./logic.ts";
import * as normalisation from "./normalisation.ts";
import * as pooling from "./pooling.ts";
import * as reduction from "./reduction.ts";
import * as resize from "./resize.ts";
import * as sampling from "./sampling.ts";
import * as shape from "./shape.ts";
import * as slicing from "./slicing.ts";

export const operators: ReadonlyMap<string, OperatorFunction> = new Map<string, OperatorFunction>([
  ...[
    activation,
    arithmetic,
    attention,
    convolution,
    linear,
    logic,
    normalisation,
    pooling,
    reduction,
    resize,
    sampling,
    shape,
    slicing,
  ].flatMap((file) => Object.entries(file)),
  ...fused,
]);
