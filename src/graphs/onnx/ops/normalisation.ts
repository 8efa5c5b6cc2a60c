/** Normalisations. n images, C channels. */
import { ones, ops, type Tensor } from "../../../torch/index.ts";
import { sizeOf } from "../../values.ts";
import type { Call, Result } from "../call.ts";
import { upTo } from "./support.ts";

/** A layer of its own where its statistics are constants of the file; the others stay in evaluation mode. */
export function BatchNormalization(call: Call): Result {
  if (call.node.outputs.slice(1).some((slot) => slot !== undefined)) {
    return call.fail(
      "gives its running statistics on, which only training graphs do: export the network for inference",
    );
  }
  const x = call.tensor(0);
  if (x.dim() < 2) return call.fail(`normalises [${x.shape}]`);
  if (call.norm) return call.norm.forward(x);
  const [weight, bias, mean, variance] = [1, 2, 3, 4].map((i) => call.tensor(i)) as [Tensor, Tensor, Tensor, Tensor];
  return ops.batch_norm(x, weight, bias, mean, variance, false, 0, call.float("epsilon", 1e-5), true);
}
BatchNormalization.fixed = [1, 2, 3, 4];
BatchNormalization.isOverwritable = true;

/** Over the dimensions from `axis` on. */
export function LayerNormalization(call: Call): Result {
  if (call.node.outputs.slice(1).some((slot) => slot !== undefined)) return call.fail("gives its statistics on");
  const x = call.tensor(0);
  const axis = call.along(call.int("axis", -1));
  const shape = x.shape.slice(axis);
  const [scale, bias] = [call.tensor(1), call.optionalTensor(2)];
  const epsilon = call.float("epsilon", 1e-5);
  const fits = (tensor: Tensor | null): boolean => !tensor || tensor.shape.join() === shape.join();
  if (fits(scale) && fits(bias)) return ops.layer_norm(x, shape, scale, bias, epsilon);
  const scaled = ops.layer_norm(x, shape, null, null, epsilon).mul(scale);
  return bias ? scaled.add(bias) : scaled;
}
LayerNormalization.weights = [1, 2];

/** x / sqrt(mean(x²) + epsilon) over the dimensions from `axis` on (Zhang & Sennrich 2019). */
export function RMSNormalization(call: Call): Result {
  const x = call.tensor(0);
  const dims = upTo(x.dim()).slice(call.along(call.int("axis", -1)));
  const mean = x.square().mean(dims, true);
  return x.mul(mean.add(call.float("epsilon", 1e-5)).rsqrt()).mul(call.tensor(1));
}
RMSNormalization.weights = [1];

export function InstanceNormalization(call: Call): Result {
  return grouped(call, call.shape(0)[1] ?? 0, call.tensor(1), call.tensor(2));
}
InstanceNormalization.weights = [1, 2];

/** Up to operator set 20 there was one scale for each group. */
export function GroupNormalization(call: Call): Result {
  const [channels, groups] = [call.shape(0)[1] ?? 0, call.int("num_groups", 1)];
  const perChannel = (tensor: Tensor): Tensor => {
    const each = channels / tensor.numel();
    return call.opset < 21 && Number.isInteger(each) && each > 1 ? ops.repeat_interleave(tensor, each) : tensor;
  };
  return grouped(call, groups, perChannel(call.tensor(1)), perChannel(call.tensor(2)));
}
GroupNormalization.weights = [1, 2];

function grouped(call: Call, groups: number, scale: Tensor, bias: Tensor): Tensor {
  const x = call.tensor(0);
  const channels = x.dim() < 2 ? 0 : x.size(1);
  const fits = channels > 0 && groups > 0 && channels % groups === 0;
  if (!fits || scale.numel() !== channels || bias.numel() !== channels) {
    return call.fail(`cannot normalise [${x.shape}] in ${groups} groups with [${scale.shape}] and [${bias.shape}]`);
  }
  return ops.group_norm(x, groups, scale, bias, call.float("epsilon", 1e-5));
}

/** The mean and deviation over images and pixels become 0 and 1. */
export function MeanVarianceNormalization(call: Call): Result {
  const x = call.tensor(0);
  const axes = call.ints("axes") ?? [0, 2, 3];
  const dims = axes.map((axis) => call.along(axis));
  const mean = x.mean(dims, true);
  const deviation = x.var(dims, { correction: 0, keepdim: true }).sqrt();
  return x.sub(mean).div(deviation.add(1e-9));
}

export function LpNormalization(call: Call): Result {
  const x = call.tensor(0);
  return x.div(x.norm(call.int("p", 2), [call.along(call.int("axis", -1))], true));
}

/** Divides by the neighbours along the channels (Krizhevsky et al. 2012). */
export function LRN(call: Call): Result {
  const x = call.tensor(0);
  const size = call.int("size", 0);
  if (x.dim() < 2 || size < 1 || size > 4096) return call.fail(`normalises [${x.shape}] over ${size} channels`);
  const channels = x.size(1);
  const rows = x.square().reshape([x.size(0), 1, channels, sizeOf(x.shape.slice(2))]);
  const before = Math.floor((size - 1) / 2);
  call.allow([x.size(0), 1, channels + size, rows.size(3)], x.numel() * size);
  const padded = ops.constant_pad_nd(rows, [0, 0, before, size - 1 - before]);
  const sums = ops.avg_pool2d(padded, [size, 1], [1, 1], 0, false, false, 1).reshape(x.shape);
  const scale = sums.mul(call.float("alpha", 1e-4) / size).add(call.float("bias", 1));
  return x.div(scale.pow(call.float("beta", 0.75)));
}

/** As in evaluation; its mask is all true. */
export function Dropout(call: Call): Result {
  const x = call.tensor(0);
  return [ops.alias(x), ones(x.shape, { dtype: "bool", device: x.device })];
}
Dropout.fixed = [1, 2];
