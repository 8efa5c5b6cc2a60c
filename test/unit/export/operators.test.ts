/** Operators one by one against onnxruntime, recorded on two rows and run on five; and what cannot be written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Exportable, exportOnnx } from "../../../src/export/index.ts";
import { BatchNorm2d, Conv2d } from "../../../src/nn/index.ts";
import {
  arange,
  call,
  cat,
  eye,
  full,
  Generator,
  int64,
  ops,
  stack,
  type Tensor,
  tensor,
  UserError,
  where,
  zeros,
} from "../../../src/torch/index.ts";
import { loadRule, seeded } from "../../fixtures/seeded-weights.ts";
import { agrees } from "../../support/exported.ts";

const generator = new Generator(1);
const weight = (name: string, shape: readonly number[]): Tensor => seeded(name, shape, "float32");
const sides = [4, 6, 5];

/** Each function of [n, 4, 6, 5] by a name for messages; elements are between -1 and 1. */
const functions: Record<string, Exportable> = {
  relu: (x) => ops.relu(x),
  "relu in place": (x) => ops.relu_(x.add(0.1)).mul(2),
  clamp: (x) => cat([x.clamp(-0.5, 0.25), x.clamp(null, 0.1), x.clamp(0.2)]),
  hardtanh: (x) => ops.hardtanh(x, -0.3, 0.4),
  leaky_relu: (x) => ops.leaky_relu(x, 0.2),
  elu: (x) => ops.elu(x, 0.7),
  selu: (x) => ops.selu(x),
  hardsigmoid: (x) => ops.hardsigmoid(x.mul(5)),
  hardswish: (x) => ops.hardswish(x.mul(5)),
  silu: (x) => ops.silu(x),
  mish: (x) => ops.mish(x),
  softplus: (x) => cat([x.softplus(), x.softplus(2), x.mul(30).softplus(3)]),
  gelu: (x) => cat([x.gelu(), x.gelu("tanh")]),
  softmax: (x) => cat([x.softmax(-1), x.log_softmax(1)]),
  arithmetic: (x) => x.add(x, { alpha: 2 }).sub(0.5, { alpha: 3 }).mul(x).div(x.add(2)).neg().abs(),
  powers: (x) => cat([x.abs().pow(1.5), x.pow(x.abs()).isnan().to({ dtype: "float32" }), x.square(), x.abs().sqrt()]),
  logarithms: (x) => cat([x.exp(), x.add(2).log(), ops.log1p(x), ops.expm1(x), x.add(2).rsqrt(), ops.reciprocal(x)]),
  rounding: (x) => cat([ops.floor(x.mul(3)), ops.ceil(x.mul(3)), ops.round(x.mul(3)), ops.sign(x)]),
  trigonometry: (x) => cat([ops.sin(x), ops.cos(x), ops.tan(x), ops.asin(x), ops.acos(x), ops.atan(x), ops.erf(x)]),
  hyperbolic: (x) => cat([ops.sinh(x), ops.cosh(x), x.tanh(), ops.asinh(x), ops.atanh(x), ops.acosh(x.add(3))]),
  extremes: (x) => cat([ops.maximum(x, x.neg()), ops.minimum(x, x.mul(2))]),
  remainders: (x) => cat([ops.remainder(x, weight("d", [5]).abs().add(0.1)), ops.fmod(x, full([1], 0.3))]),
  "division of whole numbers": (x) => x.mul(9).to({ dtype: "int64" }).div(4),
  "floor of a quotient": (x) => ops.divMode(x, 0.3, { rounding_mode: "floor" }),
  comparisons: (x) =>
    stack([x.lt(0), x.le(0.5), x.gt(0), x.ge(x.neg()), x.eq(0), x.ne(0)])
      .to({ dtype: "float32" })
      .sum(0),
  logic: (x) =>
    where(x.gt(0).logical_and(x.lt(0.5).logical_not()).logical_not(), x, ops.masked_fill(x.neg(), x.gt(0.2), 7)),
  conv1d: (x) => ops.conv1d(x.flatten(2), weight("w", [3, 4, 5]), weight("b", [3]), 2, 1, 2),
  "conv2d in groups": (x) => ops.conv2d(x, weight("w", [6, 2, 3, 2]), undefined, [2, 1], [1, 0], 1, 2),
  "conv2d by the name of its padding": (x) =>
    ops.conv2dPadding(x, weight("w", [3, 4, 2, 3]), weight("b", [3]), 1, "same"),
  convolution: (x) => ops.convolution(x, weight("w", [4, 2, 3, 3]), null, [2, 2], [1, 1], [1, 1], true, [1, 0], 2),
  conv_transpose2d: (x) => ops.conv_transpose2d(x, weight("w", [4, 3, 3, 3]), weight("b", [3]), 2, 1, 1, 1, 1),
  conv3d: (x) => ops.conv3d(x.unsqueeze(1), weight("w", [2, 1, 2, 2, 2])),
  max_pool2d: (x) => cat([ops.max_pool2d(x, 3, 2, 1), ops.max_pool2d(x, 2, 2, 0, 1, true).narrow(3, 0, 3)]),
  "max_pool2d beyond the border": (x) => ops.max_pool2d(x, 2, 2, 0, 1, true),
  "avg_pool2d beyond the border": (x) => ops.avg_pool2d(x, 2, 2, 0, true),
  "avg_pool2d with padding that counts": (x) => ops.avg_pool2d(x, 3, 2, 1, true, true),
  "avg_pool2d with padding that does not": (x) => ops.avg_pool2d(x, 3, 2, 1, true, false),
  "avg_pool2d with a divisor": (x) => ops.avg_pool2d(x, [3, 2], 2, 1, true, false, 4),
  adaptive_avg_pool2d: (x) =>
    cat(
      [
        [1, 1],
        [2, 5],
        [4, 3],
        [9, 7],
      ].map((to) => ops.adaptive_avg_pool2d(x, to).flatten(1)),
      1,
    ),
  "resizing with antialiasing": (x) =>
    cat([ops._upsample_bilinear2d_aa(x, [3, 4], false), ops._upsample_bicubic2d_aa(x, [3, 4], false)]),
  "resizing without": (x) =>
    cat([
      ops.upsample_bilinear2d(x, [9, 4], true),
      ops.upsample_bicubic2d(x, [9, 4], false),
      ops.upsample_nearest2d(x, [9, 4]),
    ]),
  batch_norm: (x) => {
    const [scale, shift, mean] = ["scale", "shift", "mean"].map((name) => weight(name, [4])) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    return ops.batch_norm(x, scale, shift, mean, weight("variance", [4]).abs().add(0.5), false, 0.1, 1e-3, true);
  },
  layer_norm: (x) => cat([ops.layer_norm(x, [5]), ops.layer_norm(x, [6, 5], weight("s", [6, 5]), weight("t", [6, 5]))]),
  group_norm: (x) => cat([ops.group_norm(x, 2, weight("s", [4]), weight("t", [4])), ops.group_norm(x, 4)]),
  linear: (x) => cat([ops.linear(x, weight("w", [3, 5]), weight("b", [3])), ops.linear(x, weight("v", [3, 5]))]),
  "linear on rows": (x) => ops.linear(x.flatten(1), weight("w", [3, 120])),
  matmul: (x) => x.matmul(x.transpose(-1, -2)),
  addmm: (x) => ops.addmm(weight("b", [3]), x.flatten(1), weight("w", [120, 3]), { beta: 0.5, alpha: 2 }),
  einsum: (x) => ops.einsum("nchw,cd->ndh", [x, weight("w", [4, 3])]),
  attention: (x) => ops.scaled_dot_product_attention(x, x.mul(2), x.neg()),
  "attention that is masked": (x) =>
    cat([
      ops.scaled_dot_product_attention(x, x, x, weight("m", [6, 6])),
      ops.scaled_dot_product_attention(x, x, x, weight("m", [6, 6]).add(eye(6)).gt(-0.3)),
      ops.scaled_dot_product_attention(x, x, x, undefined, 0, true, { scale: 0.3 }),
    ]),
  reductions: (x) =>
    stack([x.mean([2, 3]), x.sum([2, 3]), x.amax([2, 3]), x.amin([2, 3]), x.var([2, 3]), x.norm(2, [2, 3])]),
  "reductions of one dimension": (x) => stack([ops.prod(x, 1), x.norm(1, 1), x.norm(3, 1), x.logsumexp(1)]),
  positions: (x) => stack([x.argmax(1), ops.argmin(x, 1)]).to({ dtype: "float32" }),
  topk: (x) => {
    const [values, indices] = x.topk(2, 3);
    return { values, indices: indices.to({ dtype: "float32" }) };
  },
  cumsum: (x) => ops.cumsum(x, 2),
  shapes: (x) =>
    x
      .reshape([x.size(0), 2, 2, -1])
      .permute([0, 2, 3, 1])
      .unsqueeze(1)
      .squeeze(1)
      .flatten(1, 2)
      .transpose(1, 2),
  "the batch in another place": (x) => x.permute([1, 0, 2, 3]).reshape([4, x.size(0) * 6, 5]),
  expand: (x) => cat([x, weight("row", [1, 4, 1, 5]).expand([x.size(0), 4, 6, 5])], 1),
  repeat: (x) => cat([ops.repeat(weight("row", [4, 6, 5]), [x.size(0), 1, 1, 1]), x], 1),
  "a constant for each row": (x) => x.add(full([x.size(0), 1, 1, 1], 0.5)).add(zeros([x.size(0), 4, 1, 1])),
  "numbers of JavaScript for each row": (x) =>
    cat(
      [
        x,
        tensor(
          new Float32Array(x.size(0) * 30).map((_, i) => i % 30),
          { shape: [x.size(0), 1, 6, 5] },
        ),
      ],
      1,
    ),
  "indices of JavaScript for each row": (x) =>
    x
      .reshape([-1, 5])
      .index_select(0, int64(Array.from({ length: x.size(0) * 2 }, (_, i) => (i >> 1) * 24 + 7 * (i & 1)))),
  types: (x) => x.mul(5).to({ dtype: "int64" }).to({ dtype: "float32" }),
  "copies in memory": (x) => x.contiguous("channels_last").clone().detach(),
  parts: (x) =>
    cat([x.select(1, -1), x.narrow(1, 1, 2).flatten(1, 2), ops.slice(x, 2, 1, undefined, 2).flatten(1, 2)], 1),
  split: (x) =>
    cat(
      [...x.split(3, 2).toReversed(), ...x.unbind(1).map((part) => part.unsqueeze(1))].map((part) => part.flatten(1)),
      1,
    ),
  indices: (x) =>
    cat(
      [
        x.index_select(2, int64([5, 0, 0])),
        x.gather(
          2,
          int64([1, 2, 0])
            .view([1, 1, 3, 1])
            .expand([x.size(0), 4, 3, 5]),
        ),
      ],
      1,
    ),
  scatter: (x) => x.scatter(1, zeros([x.size(0), 1, 6, 5], { dtype: "int64" }).add(2), 3),
  flip: (x) => x.flip([1, 3]),
  roll: (x) => cat([ops.roll(x, [2, -1], [2, 3]), ops.roll(x, [7], [1])]),
  constant_pad_nd: (x) => ops.constant_pad_nd(x, [1, 2, -1, 0], 0.5),
  "upper and lower triangles": (x) => cat([ops.triu(x, 1), ops.tril(x)]),
  "writing through": (x) =>
    zeros([x.size(0), 4, 6, 5])
      .copy_(x.narrow(1, 0, 1))
      .add_(x)
      .mul_(0.5),
  "what no result needs": (x) => {
    ops.bincount(x.abs().flatten().to({ dtype: "int64" }));
    return x.add(1);
  },
};

for (const [name, fn] of Object.entries(functions)) test(name, () => agrees(fn, sides, { name }));

test("BatchNorm goes into a convolution where nothing else reads that", async () => {
  using conv = loadRule(new Conv2d(4, 3, 3, { generator, padding: 1 }));
  using norm = loadRule(new BatchNorm2d(3));
  for (const [fn, left] of [
    [(x: Tensor) => norm.forward(conv.forward(x)), 0],
    [(x: Tensor) => norm.forward(conv.forward(x)).add(conv.forward(x)), 0],
    [(x: Tensor) => [conv.forward(x)].map((y) => norm.forward(y).add(y))[0] as Tensor, 1],
    [(x: Tensor) => norm.forward(conv.forward(x).relu()), 1],
  ] as const) {
    const modules = { conv, norm: norm.eval() };
    await agrees(fn, sides, { modules });
    using example = zeros([1, ...sides]);
    const text = Buffer.from(exportOnnx(fn, example, { modules })).toString("latin1");
    assert.equal(text.split("BatchNormalization").length - 1, left);
  }
});

const refused = (fn: Exportable, pattern: RegExp): void => {
  using example = seeded("example", [2, ...sides], "float32");
  assert.throws(
    () => exportOnnx(fn, example, { name: "Member" }),
    (error) => error instanceof UserError && pattern.test(error.message),
  );
};

test("all operators that cannot be written are named at once, with the network", () => {
  refused(
    (x) => ops.pad(call("aten::lgamma", [call("aten::digamma", [x])]) as Tensor, [1, 1, 1, 1], "reflect"),
    /^Member cannot be exported, it calls 3 operators that ONNX has no form for: aten::digamma, aten::lgamma, aten::pad$/,
  );
});

test("what a model of any batch cannot have is refused", () => {
  refused((x) => x.mul(x.size(0)), /aten::mul\.Tensor \(computes with the number of images\)/);
  refused((x) => x.mul(tensor([x.sum([0, 1, 2, 3]).item()])), /aten::mul\.Tensor \(reads what depends on the images/);
  refused((x) => x.add(zeros(x.shape).normal_(0, 1, { generator })), /aten::normal_ \(draws random numbers\)/);
  refused((x) => {
    const doubled = x.mul(2);
    const view = doubled.flatten();
    doubled.add_(1);
    return view;
  }, /aten::alias \(reads a view whose elements were overwritten/);
  refused((x) => (x.size(0) > 2 ? x.add(1).add(1) : x.add(2)), /^Member cannot be exported: it runs other operators/);
  refused((x) => ops.batch_norm(x, undefined, undefined, undefined, undefined, true, 0.1, 1e-5, true), /of the batch/);
  refused((x) => ops.roll(x, [1], [0]), /aten::roll \(works along the images/);
  refused((x) => arange(0, x.size(0), 1, { dtype: "float32" }), /aten::arange/);
});
