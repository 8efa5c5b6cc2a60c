/** What a trace needs not say: calls that no output depends on, and BatchNorm behind a convolution. */
import { foldNorm } from "../nn/index.ts";
import type { Tensor } from "../torch/index.ts";
import { type Trace, type TracedCall, Value } from "./trace.ts";

/** The calls that the outputs depend on. */
export function neededCalls({ calls, outputs }: Trace): TracedCall[] {
  const needed = new Set<unknown>(outputs.values());
  const found: TracedCall[] = [];
  for (const call of calls.toReversed()) {
    if (!call.results.some((result) => result.content === undefined && needed.has(result))) continue;
    found.push(call);
    for (const value of valuesIn(call.args)) needed.add(value);
  }
  return found.reverse();
}

export function valuesIn(args: readonly unknown[]): Value[] {
  return args.flatMap((arg) => (arg instanceof Value ? [arg] : Array.isArray(arg) ? valuesIn(arg) : []));
}

const convolutions: ReadonlySet<string> = new Set([
  "aten::conv1d",
  "aten::conv2d",
  "aten::conv2d.padding",
  "aten::conv3d",
]);

/** A normalisation by constants of what a convolution by constants makes for it alone. */
interface Pair {
  readonly conv: TracedCall;
  readonly norm: TracedCall;
}

/**
 * Puts scale and shift of a BatchNorm into the convolution before it, which is the same function. The new weights keep the
 * names of the old.
 * @param copies takes the new weights, for the caller to dispose
 */
export function foldNorms(calls: readonly TracedCall[], outputs: ReadonlySet<Value>, copies: Tensor[]): TracedCall[] {
  const readers = new Map<Value, number>();
  for (const value of calls.flatMap(({ args }) => valuesIn(args))) readers.set(value, (readers.get(value) ?? 0) + 1);
  const makers = new Map(calls.flatMap((call) => call.results.map((result) => [result, call] as const)));
  const folded = new Map<TracedCall, TracedCall | undefined>();
  for (const norm of calls) {
    const [x] = norm.args;
    const conv = x instanceof Value ? makers.get(x) : undefined;
    if (!conv || !(x instanceof Value) || readers.get(x) !== 1 || outputs.has(x) || !isPair({ conv, norm })) continue;
    folded.set(conv, { ...conv, args: foldedArgs({ conv, norm }, copies), results: norm.results });
    folded.set(norm, undefined);
  }
  return calls.flatMap((call) => (folded.has(call) ? (folded.get(call) ?? []) : [call]));
}

function isPair({ conv, norm }: Pair): boolean {
  const isNorm = norm.operator === "aten::batch_norm" && norm.args[5] !== true && norm.args[3] instanceof Value;
  const [, weight, bias] = conv.args;
  const constants = [weight, bias, ...norm.args.slice(1, 5)];
  const isFixed = constants.every((arg) => !(arg instanceof Value) || arg.content !== undefined);
  return isNorm && convolutions.has(conv.operator) && !conv.problem && !norm.problem && isFixed;
}

function foldedArgs({ conv, norm }: Pair, copies: Tensor[]): unknown[] {
  const [x, weight, bias, ...rest] = conv.args as [Value, Value, Value | null | undefined];
  const [, scale, shift, mean, variance, , , eps = 1e-5] = norm.args as (Value | undefined)[] & unknown[];
  const channels = weight.shape[0] as number;
  const content = (value?: Value | null): Tensor | undefined => value?.content;
  const made = foldNorm(weight.content as Tensor, content(bias), {
    ...{ weight: content(scale), bias: content(shift) },
    ...{ mean: mean?.content as Tensor, variance: variance?.content as Tensor, eps: eps as number },
  });
  copies.push(...made);
  const [newWeight, newBias] = made;
  const biasName = bias?.name ?? weight.name?.replace(/\bweight$/, "bias");
  return [
    x,
    new Value({ shape: weight.shape, dtype: weight.dtype, name: weight.name, content: newWeight }),
    new Value({ shape: [channels], dtype: weight.dtype, name: biasName, content: newBias }),
    ...rest,
  ];
}
