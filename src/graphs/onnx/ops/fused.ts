/** Operators of onnxruntime's own domain, as files have them that it has optimised. */
import { quoted } from "../../../io/index.ts";
import { ops, type Tensor } from "../../../torch/index.ts";
import type { Call, OperatorFunction, Result } from "../call.ts";
import { Conv } from "./convolution.ts";
import { Gemm } from "./linear.ts";
import { all, fitting } from "./support.ts";

/** An activation by its name, with up to two parameters. */
function activated(call: Call, x: Tensor, [alpha, beta]: readonly (number | undefined)[]): Tensor {
  const name = call.string("activation", "");
  if (name === "") return x;
  if (name === "Relu") return ops.relu(x);
  if (name === "Sigmoid") return x.sigmoid();
  if (name === "Tanh") return x.tanh();
  if (name === "LeakyRelu") return ops.leaky_relu(x, alpha ?? 0.01);
  if (name === "Clip") return x.clamp(alpha ?? null, beta ?? null);
  if (name === "HardSigmoid")
    return x
      .mul(alpha ?? 0.2)
      .add(beta ?? 0.5)
      .clamp(0, 1);
  return call.fail(`has the unknown activation ${quoted(name)}`);
}

/** A convolution, a sum with input 3, and an activation. */
function FusedConv(call: Call): Result {
  const made = Conv(call) as Tensor;
  const sum = call.has(3) ? made.add(call.tensor(3)) : made;
  return activated(call, sum, call.node.attributes.floats("activation_params") ?? []);
}
FusedConv.weights = [1, 2];
FusedConv.isLayer = true;

function FusedGemm(call: Call): Result {
  const parameters = ["activation_alpha", "activation_beta"].map((name) => call.node.attributes.float(name));
  return activated(call, Gemm(call) as Tensor, parameters);
}
FusedGemm.weights = all;
FusedGemm.isLayer = true;

/** alpha A' B'. */
function FusedMatMul(call: Call): Result {
  if (call.flag("transBatchA") || call.flag("transBatchB")) return call.fail("turns batches, which is not supported");
  const turned = (i: number, name: string): Tensor => {
    const x = call.tensor(i);
    return call.flag(name) && x.dim() > 1 ? x.transpose(-2, -1) : x;
  };
  const [a, b] = [turned(0, "transA"), turned(1, "transB")];
  if (a.dim() < 2 || b.dim() < 2) return call.fail(`multiplies [${a.shape}] and [${b.shape}]`);
  call.allow([], a.numel() * b.size(-1));
  const product = a.matmul(b);
  const alpha = call.float("alpha", 1);
  return alpha === 1 ? product : product.mul(alpha);
}
FusedMatMul.weights = all;
FusedMatMul.isLayer = true;

function withBias(call: Call): Tensor {
  const [x, bias] = call.has(1) ? fitting(call, [0, 1]) : [call.tensor(0)];
  return bias ? (x as Tensor).add(bias) : (x as Tensor);
}

function BiasGelu(call: Call): Result {
  return withBias(call).gelu("none");
}
BiasGelu.weights = [1];

function FastGelu(call: Call): Result {
  return withBias(call).gelu("tanh");
}
FastGelu.weights = [1];

/** x σ(alpha x). */
function QuickGelu(call: Call): Result {
  const x = call.tensor(0);
  return x.mul(x.mul(call.float("alpha", 1.702)).sigmoid());
}

/** LayerNorm of a sum of two tensors and a bias; output 3 is the sum itself. */
function SkipLayerNormalization(call: Call): Result {
  if (call.node.outputs.slice(1, 3).some((slot) => slot !== undefined)) return call.fail("gives its statistics on");
  const [x, skip] = fitting(call, [0, 1]) as [Tensor, Tensor];
  const sum = call.has(4) ? x.add(skip).add(call.tensor(4)) : x.add(skip);
  const [scale, shift] = [call.tensor(2), call.optionalTensor(3)];
  const made = ops.layer_norm(sum, [sum.size(-1)], scale, shift, call.float("epsilon", 1e-12));
  return [made, sum, sum, sum];
}
SkipLayerNormalization.weights = [2, 3, 4];

export const fused: ReadonlyMap<string, OperatorFunction> = new Map<string, OperatorFunction>(
  Object.entries({
    FusedConv,
    FusedGemm,
    FusedMatMul,
    Gelu: BiasGelu,
    BiasGelu,
    FastGelu,
    QuickGelu,
    SkipLayerNormalization,
  }).map(([name, operator]) => [`com.microsoft.${name}`, operator]),
);
