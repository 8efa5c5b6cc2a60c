/** Attention as one operator (operator set 23). n images, h heads, t queries, s keys. */
import { ops, type Tensor } from "../../../torch/index.ts";
import type { Call, Result } from "../call.ts";

/** Softmax(scale Q K' + mask) V; inputs [n, h, t, d] or [n, t, h · d]. */
export function Attention(call: Call): Result {
  if (call.has(4) || call.has(5) || call.has(6) || call.node.outputs.slice(1).some((slot) => slot !== undefined)) {
    return call.fail("keeps keys and values from earlier, which only generating networks do");
  }
  if (call.float("softcap", 0) !== 0) return call.fail("caps its scores, which is not supported");
  const isFlat = call.shape(0).length === 3;
  const heads = (i: number, count: number): Tensor => {
    const x = call.tensor(i);
    if (!isFlat) return x;
    const width = x.size(2) / count;
    if (!Number.isInteger(width) || count < 1) return call.fail(`divides [${x.shape}] among ${count} heads`);
    return x.reshape([x.size(0), x.size(1), count, width]).transpose(1, 2);
  };
  const [queryHeads, keyHeads] = [call.int("q_num_heads", 0), call.int("kv_num_heads", 0)];
  const [q, k, v] = [heads(0, queryHeads), heads(1, keyHeads), heads(2, keyHeads)];
  if (q.dim() !== 4 || k.dim() !== 4 || v.dim() !== 4) return call.fail(`attends in [${q.shape}], [${k.shape}]`);
  const scores = [q.size(0), q.size(1), q.size(2), k.size(2)];
  call.allow(scores, q.numel() * k.size(2) * 2);
  const options = { scale: call.node.attributes.float("scale"), enable_gqa: q.size(1) !== k.size(1) };
  const isCausal = call.flag("is_causal");
  if (isCausal && call.has(3)) return call.fail("is causal and has a mask, which is not supported");
  const made = ops.scaled_dot_product_attention(q, k, v, call.optionalTensor(3), 0, isCausal, options);
  if (!isFlat) return made;
  return made.transpose(1, 2).reshape([made.size(0), made.size(2), made.size(1) * made.size(3)]);
}
Attention.fixed = [3];
