/**
 * All operators of libtorch that can be written as ONNX, by their names without overload: what a listed file exports, under
 * the name that it exports it by. An operator that writes into its first argument has no entry of its own: its result
 * stands for that argument from then on. call.ts has what an operator's function is given.
 */
import type { Writer } from "../call.ts";
import * as activation from "./activation.ts";
import * as arithmetic from "./arithmetic.ts";
import * as convolution from "./convolution.ts";
import * as linear from "./linear.ts";
import * as logic from "./logic.ts";
import * as normalisation from "./normalisation.ts";
import * as pooling from "./pooling.ts";
import * as reduction from "./reduction.ts";
import * as resize from "./resize.ts";
import * as shape from "./shape.ts";
import * as slicing from "./slicing.ts";

const groups = [
  activation,
  arithmetic,
  convolution,
  linear,
  logic,
  normalisation,
  pooling,
  reduction,
  resize,
  shape,
  slicing,
];

const writers: ReadonlyMap<string, Writer> = new Map<string, Writer>(groups.flatMap((group) => Object.entries(group)));

/** The function for an operator such as `aten::add_.Tensor`; undefined for one that cannot be written. */
export function writerOf(operator: string): Writer | undefined {
  const name = /^\w+::(\w+?)_?(\..*)?$/.exec(operator)?.[1];
  return name === undefined ? undefined : writers.get(name);
}
