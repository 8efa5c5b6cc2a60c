/** Activation functions by their names in Keras. */
import { ops, type Tensor } from "../../torch/index.ts";

export type Activation = (x: Tensor) => Tensor;

/** By names in lower case without underscores. */
const activations: ReadonlyMap<string, Activation> = new Map<string, Activation>([
  ["linear", (x) => x],
  ["relu", (x) => ops.relu(x)],
  ["relu6", (x) => ops.hardtanh(x, 0, 6)],
  ["elu", (x) => ops.elu(x)],
  ["selu", (x) => ops.selu(x)],
  ["sigmoid", (x) => ops.sigmoid(x)],
  ["hardsigmoid", (x) => x.mul(0.2).add(0.5).clamp(0, 1)],
  ["softplus", (x) => ops.softplus(x)],
  ["softsign", (x) => x.div(x.abs().add(1))],
  ["tanh", (x) => ops.tanh(x)],
  ["softmax", (x) => ops.softmax(x, -1)],
  ["logsoftmax", (x) => ops.log_softmax(x, -1)],
  ["gelu", (x) => ops.gelu(x)],
  ["mish", (x) => x.mul(ops.softplus(x).tanh())],
  ["swish", (x) => ops.silu(x)],
  ["silu", (x) => ops.silu(x)],
]);

export function activationNamed(name: string): Activation | undefined {
  return activations.get(name.replaceAll("_", "").toLowerCase());
}

/** x where positive, else alpha · x; alpha may be a tensor of a trailing shape. */
export function prelu(x: Tensor, alpha: Tensor): Tensor {
  return ops.relu(x).sub(ops.relu(x.neg()).mul(alpha));
}
