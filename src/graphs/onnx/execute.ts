/** Runs one node: its operator's function, within limits, with errors that name it. */
import { scope, Tensor, TorchError, UserError } from "../../torch/index.ts";
import { HostArray, kindOf, maximumHostElements, shapeText, sizeOf, type Value } from "../values.ts";
import type { Call, OperatorFunction, Result } from "./call.ts";
import { operators } from "./ops/index.ts";

/**
 * The values that a node gives. Results of arrays alone become arrays again when they are short.
 * @throws UserError naming file and node when the operator cannot take its inputs
 */
export function execute(call: Call): readonly Value[] {
  const operator = operators.get(call.node.op) ?? call.fail("has an unsupported operator");
  const values = scope(() => attempt(call, operator));
  if (values.length < call.node.outputs.length) call.fail(`has ${call.node.outputs.length} outputs`);
  for (const { shape } of values) call.allow(shape);
  return values;
}

function attempt(call: Call, operator: OperatorFunction): readonly Value[] {
  try {
    const result: Result = operator(call);
    const values = result instanceof Tensor || result instanceof HostArray ? [result] : result;
    return call.onHost ? values.map((value) => settled(value, call.run.device)) : values;
  } catch (error) {
    if (!(error instanceof TorchError || error instanceof RangeError)) throw error;
    const shapes = call.inputs.slice(0, 6).map((value) => (value ? shapeText(value.shape) : "nothing"));
    const reason = error.message
      .split("\n")[0]
      ?.replace(/\p{Cc}/gu, " ")
      .slice(0, 300);
    throw new UserError(`${call.who} cannot take ${shapes.join(", ")}: ${reason}`, { cause: error });
  }
}

/** A result of arrays: an array when short, else a tensor where the images are. */
function settled(value: Value, device: string): Value {
  if (value instanceof HostArray) return value;
  if (sizeOf(value.shape) > maximumHostElements) return value.to({ device });
  return new HostArray(kindOf(value), value.shape, value.toNumbers());
}
