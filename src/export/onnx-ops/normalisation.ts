/** Normalisations by statistics of the network or of each image. */
import { ones, scope, zeros } from "../../torch/index.ts";
import type { Call, Written } from "../call.ts";
import type { Name } from "../graph-builder.ts";
import { Rows } from "../trace.ts";

/** A vector of ones or zeros where the call leaves a scale or shift out. */
function vector(call: Call, i: number, size: number, value: 0 | 1): Name {
  if (call.has(i)) return call.input(i);
  const make = value === 1 ? ones : zeros;
  return scope(() => call.graph.tensor(make([size], { dtype: call.result.dtype }), value === 1 ? "ones" : "zeros"));
}

/** By the running statistics; those of a batch would make its images depend on each other. */
export function batch_norm(call: Call): Written {
  if (call.flag(5) || !call.has(3) || !call.has(4)) return call.fail("takes the statistics of the batch");
  const channels = call.side(0, 1);
  const inputs = [
    call.input(0),
    vector(call, 1, channels, 1),
    vector(call, 2, channels, 0),
    call.input(3),
    call.input(4),
  ];
  return call.node("BatchNormalization", inputs, { epsilon: { float: call.number(7, 1e-5) } });
}

export function layer_norm(call: Call): Written {
  const sizes = call.ints(1);
  if (sizes.length > 1 && !(call.has(2) && call.has(3))) return call.fail("has no scale over several dimensions");
  call.graph.needs(17);
  const [size = 1] = sizes;
  const inputs = [call.input(0), vector(call, 2, size, 1), vector(call, 3, size, 0)];
  return call.node("LayerNormalization", inputs, { axis: -sizes.length, epsilon: { float: call.number(4, 1e-5) } });
}

/** Groups of channels as the channels of InstanceNormalization, then the scale and shift of each channel. */
export function group_norm(call: Call): Written {
  const groups = call.number(1);
  const [, channels = 1, ...sides] = call.result.shape;
  if (channels instanceof Rows) return call.fail("has channels that depend on the number of images");
  const grouped = call.node("Reshape", [call.input(0), call.graph.ints([0, groups, -1])]);
  const [scale, shift] = scope(() => [
    call.graph.tensor(ones([groups], { dtype: call.result.dtype }), "ones"),
    call.graph.tensor(zeros([groups], { dtype: call.result.dtype }), "zeros"),
  ]) as [Name, Name];
  const epsilon = { float: call.number(4, 1e-5) };
  const normed = call.node("InstanceNormalization", [grouped, scale, shift], { epsilon });
  const whole = call.reshaped(normed);
  const perChannel = (i: number): Name =>
    call.node("Reshape", [call.input(i), call.graph.ints([channels, ...sides.map(() => 1)])]);
  const scaled = call.has(2) ? call.node("Mul", [whole, perChannel(2)]) : whole;
  return call.has(3) ? call.node("Add", [scaled, perChannel(3)]) : scaled;
}
