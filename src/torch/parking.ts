/** Tensors whose content lies elsewhere for a while: identity, shape and dtype stay, the memory is given back. */
import { noGrad, normalMode } from "./modes.ts";
import type { Handle } from "./native.ts";
import { scope } from "./scope.ts";
import { ops, type Tensor } from "./tensor.ts";

/** Brings the content of a parked tensor back; told whether it is about to be overwritten. */
export type Restore = (writing: boolean) => void;

const restorers = new WeakMap<Tensor, Restore>();
const absent = new WeakSet<Tensor>();
const parkable = new WeakSet<Tensor>();

/**
 * Gives a tensor's memory back. Whoever parks it keeps its content and hands it back through `unpark`.
 * @param restore called when the content is needed; must unpark the tensor
 */
export function park(tensor: Tensor, restore: Restore): void {
  setData(tensor, () => ops.zeros([], { dtype: tensor.dtype, device: tensor.device }).expand(tensor.shape));
  restorers.set(tensor, restore);
  parkable.add(tensor);
  absent.delete(tensor);
}

/** True for a tensor that was parked once and may be again, wherever its content is now. */
export function isParkable(tensor: Tensor): boolean {
  return parkable.has(tensor);
}

/** Gives a parked tensor its content. */
export function unpark(tensor: Tensor, content: Tensor): void {
  setData(tensor, () => content);
  restorers.delete(tensor);
  absent.delete(tensor);
}

/** Gives the memory of a tensor back whose content another process keeps: whoever asks for it makes a mistake. */
export function makeAbsent(tensor: Tensor, name: string): void {
  park(tensor, () => {
    throw new Error(`${name} is not in this process`);
  });
  absent.add(tensor);
}

/** True for a tensor without content here, which loading and saving pass over. */
export function isAbsent(tensor: Tensor): boolean {
  return absent.has(tensor);
}

/**
 * Makes sure that a tensor has its content; call before reading or overwriting what may be parked. Works inside
 * inference mode too, whose own tensors could never be trained again.
 */
export function ensureResident(tensor: Tensor, writing: boolean): void {
  const restore = restorers.get(tensor);
  if (restore) normalMode(() => restore(writing));
}

function setData(tensor: Tensor, data: () => Tensor): void {
  scope(() => normalMode(() => noGrad(() => ops.set_data(tensor, data()))));
}

/** Runs `fn` while tensors are others, of the same shapes: whatever reads one computes with the other, gradients included. */
export function standIn<T>(pairs: readonly (readonly [Tensor, Tensor])[], fn: () => T): T {
  const own = pairs.map(([tensor]) => tensor.handle);
  const become = (tensor: { handle: Handle }, handle: Handle): void => {
    tensor.handle = handle;
  };
  try {
    for (const [tensor, other] of pairs) become(tensor, other.handle);
    return fn();
  } finally {
    for (const [i, [tensor]] of pairs.entries()) become(tensor, own[i] as Handle);
  }
}
