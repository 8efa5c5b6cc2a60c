/** Matrix products. */
import { quoted } from "../../../io/index.ts";
import { ops } from "../../../torch/index.ts";
import { broadcastShape, shapeText } from "../../values.ts";
import type { Call, Result } from "../call.ts";
import { all, upTo } from "./support.ts";

/** alpha A' B' + beta C. */
export function Gemm(call: Call): Result {
  const [alpha, beta] = [call.float("alpha", 1), call.float("beta", 1)];
  const [a, b] = [call.tensor(0), call.tensor(1)];
  if (a.dim() !== 2 || b.dim() !== 2) return call.fail(`multiplies ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
  const [transA, transB] = [call.flag("transA"), call.flag("transB")];
  const x = transA ? ops.transpose(a, 0, 1) : a;
  call.allow([x.size(0), b.size(transB ? 0 : 1)], x.size(0) * x.size(1) * b.size(transB ? 0 : 1));
  const c = call.optionalTensor(2);
  if (transB && alpha === 1 && beta === 1 && c?.dim() === 1 && c.size(0) === b.size(0)) return ops.linear(x, b, c);
  const product = ops.matmul(x, transB ? ops.transpose(b, 0, 1) : b);
  const scaled = alpha === 1 ? product : product.mul(alpha);
  if (!c || beta === 0) return scaled;
  return scaled.add(beta === 1 ? c : c.mul(beta));
}
Gemm.weights = all;
Gemm.isLayer = true;
Gemm.isOverwritable = true;

export function MatMul(call: Call): Result {
  const [a, b] = [call.tensor(0), call.tensor(1)];
  if (a.dim() === 0 || b.dim() === 0) return call.fail("multiplies a single number");
  const leading = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  if (!leading) return call.fail(`cannot multiply ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
  const shape = [...leading, ...(a.dim() > 1 ? [a.size(-2)] : []), ...(b.dim() > 1 ? [b.size(-1)] : [])];
  call.allow(shape, shape.reduce((product, size) => product * size, 1) * a.size(-1));
  return a.matmul(b);
}
MatMul.weights = all;
MatMul.isLayer = true;
MatMul.isOverwritable = true;

export function Einsum(call: Call): Result {
  const equation = call.string("equation", "").replaceAll(" ", "");
  if (!/^[A-Za-z,.]+(->[A-Za-z.]*)?$/.test(equation)) return call.fail(`has the equation ${quoted(equation)}`);
  const tensors = upTo(call.inputs.length).map((i) => call.tensor(i));
  const sizes = new Map<string, number>();
  const terms = equation.split("->")[0]?.split(",") ?? [];
  for (const [i, term] of terms.entries()) {
    const letters = term.replace("...", "");
    if (term.includes("...")) for (const [j, size] of call.shape(i).entries()) sizes.set(`${i}:${j}`, size);
    else for (const [j, letter] of [...letters].entries()) sizes.set(letter, call.shape(i)[j] ?? 1);
  }
  // The product over all indices bounds both the result and the multiplications.
  const work = [...sizes.values()].reduce((product, size) => product * size, 1);
  call.allow([], work);
  const output = equation.split("->")[1];
  if (output !== undefined && !output.includes(".")) call.allow([...output].map((letter) => sizes.get(letter) ?? 1));
  return ops.einsum(equation, tensors);
}
Einsum.weights = all;
Einsum.isLayer = true;
