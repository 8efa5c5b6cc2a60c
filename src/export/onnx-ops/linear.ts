/** Products of matrices, and attention. */
import { full, ops, scope } from "../../torch/index.ts";
import type { Call, Written } from "../call.ts";
import type { Name } from "../graph-builder.ts";
import { binary } from "./support.ts";

export const matmul = binary("MatMul");
export { matmul as bmm, matmul as mm };

/** x W^T + b with W [out, in]. */
export function linear(call: Call): Written {
  if (call.shape(0).length === 2) {
    const inputs = [call.input(0), call.input(1)];
    return call.node("Gemm", call.has(2) ? [...inputs, call.input(2)] : inputs, { transB: 1 });
  }
  const product = call.node("MatMul", [call.input(0), transposed(call)]);
  return call.has(2) ? call.node("Add", [product, call.input(2)]) : product;
}

/** W^T, which is a constant where W is one. */
function transposed(call: Call): Name {
  const { content, name } = call.value(1);
  if (!content) return call.node("Transpose", [call.input(1)], { perm: [1, 0] });
  return call.graph.derived(content, `${name ?? "constant"}.T`, () => content.t());
}

/** beta b + alpha x y. */
export function addmm(call: Call): Written {
  return call.node("Gemm", [call.input(1), call.input(2), call.input(0)], {
    alpha: { float: call.number(4, 1) },
    beta: { float: call.number(3, 1) },
  });
}

export function einsum(call: Call): Written {
  const names = call.list(1).map((value) => call.typed(value, call.result.dtype));
  return call.node("Einsum", names, { equation: call.text(0) });
}

/** softmax(q k^T scale + mask) v over the last two dimensions. */
export function scaled_dot_product_attention(call: Call): Written {
  if (call.number(4, 0) !== 0) return call.fail("drops weights at random");
  const [query, key] = [call.shape(0), call.shape(1)];
  const width = call.side(0, -1);
  const scale = call.has(6) ? call.number(6) : 1 / Math.sqrt(width);
  const perm = key.map((_, i) => (i < key.length - 2 ? i : 2 * key.length - 3 - i));
  const keys = call.node("Transpose", [call.input(1)], { perm });
  const scaled = call.node("Mul", [call.input(0), call.scalar(scale)]);
  let scores = call.node("MatMul", [scaled, keys]);
  if (call.flag(5)) scores = call.node("Add", [scores, causal(call)]);
  if (call.has(3)) scores = masked(call, scores);
  return call.node("MatMul", [call.node("Softmax", [scores], { axis: query.length - 1 }), call.input(2)]);
}

/** A mask of truth values says what is seen; one of numbers is added. */
function masked(call: Call, scores: Name): Name {
  const mask = call.value(3);
  if (mask.dtype !== "bool") return call.node("Add", [scores, call.typed(mask, call.result.dtype)]);
  return call.node("Where", [call.input(3), scores, call.scalar(Number.NEGATIVE_INFINITY)]);
}

/** Minus infinity where a key comes after the query. */
function causal(call: Call): Name {
  const shape = [call.side(0, -2), call.side(1, -2)];
  return scope(() => {
    const all = full(shape, Number.NEGATIVE_INFINITY, { dtype: call.result.dtype });
    return call.graph.tensor(ops.triu(all, 1), "causal");
  });
}
