/**
 * Values that are the same in every run and not trained: arrays on the JavaScript side, and tensors on the images'
 * device.
 */
import { type Dtype, keep, noGrad, normalMode, scope, Tensor } from "../../torch/index.ts";
import { HostArray, isFloating, toTensor, type Value } from "../values.ts";

export class Constants {
  readonly #values = new Map<number, Value>();
  readonly #moved = new Map<number, Tensor>();
  readonly #tensors = new Map<HostArray, Tensor>();

  has(slot: number): boolean {
    return this.#values.has(slot);
  }

  /** Takes over a value. */
  set(slot: number, value: Value): void {
    this.#values.set(slot, value instanceof Tensor ? keep(value) : value);
  }

  /** Releases a value that nothing needs any more. */
  delete(slot: number): void {
    const value = this.#values.get(slot);
    this.#values.delete(slot);
    if (value instanceof HostArray) {
      this.#tensors.get(value)?.dispose();
      this.#tensors.delete(value);
    } else value?.dispose();
  }

  /** Releases all values but those of the given slots. */
  keepOnly(slots: ReadonlySet<number>): void {
    for (const slot of [...this.#values.keys()]) if (!slots.has(slot)) this.delete(slot);
  }

  /** A value on the device of the images and, when floating, in their dtype; it stays this object's. */
  get(slot: number, floating: Dtype, device: string): Value | undefined {
    const value = this.#values.get(slot);
    if (!value || value instanceof HostArray) return value;
    const dtype = isFloating(value.dtype) ? floating : value.dtype;
    if (value.dtype === dtype && value.device === device) return value;
    const known = this.#moved.get(slot);
    if (known?.dtype === dtype && known.device === device) return known;
    known?.dispose();
    const moved = outlasting(() => value.to({ dtype, device }));
    this.#moved.set(slot, moved);
    return moved;
  }

  /** The tensor of an array of this object, likewise. */
  tensorOf(array: HostArray, floating: Dtype, device: string): Tensor {
    const known = this.#tensors.get(array);
    const fits = known && (array.kind !== "float" || known.dtype === floating) && known.device === device;
    if (fits) return known;
    known?.dispose();
    const made = outlasting(() => toTensor(array, floating, device));
    this.#tensors.set(array, made);
    return made;
  }

  dispose(): void {
    for (const value of this.#values.values()) if (value instanceof Tensor) value.dispose();
    for (const tensor of [...this.#moved.values(), ...this.#tensors.values()]) tensor.dispose();
  }
}

/** Made outside of any inference mode and scope, because later runs may train. */
function outlasting(fn: () => Tensor): Tensor {
  return keep(normalMode(() => noGrad(() => scope(fn))));
}
