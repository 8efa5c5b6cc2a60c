/** Tensors that lie in a file until they are asked for. */
import { type Dtype, empty, keep, ops, type Tensor, UserError } from "../torch/index.ts";

/** Bytes of one element. */
export const widths: Readonly<Record<Dtype, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
};

/** libtorch's iterators end at 64 dimensions. */
export const maximumDimensions = 64;

export abstract class LazyTensor {
  abstract readonly shape: readonly number[];
  abstract readonly dtype: Dtype;

  /**
   * Reads the elements from the file into fresh memory, again at each call. The caller disposes the tensor; no scope does.
   * @throws UserError when the file has changed since it was opened, or its bytes are damaged
   */
  abstract read(): Promise<Tensor>;

  /** Bytes of the elements. */
  get byteLength(): number {
    return elements(this.shape) * widths[this.dtype];
  }
}

/** The number of elements; infinite or imprecise where it exceeds 2^53. */
export function elements(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1);
}

/** True when libtorch can count this shape's bytes, as it does even where a size is 0. */
export function isCountable(shape: readonly number[]): boolean {
  return Number.isSafeInteger(shape.reduce((product, size) => product * Math.max(size, 1), 8));
}

/**
 * A 1-D tensor from bytes that come in pieces of whole elements; no scope releases it.
 * @throws UserError naming `what` for a truth value above 1
 */
export async function tensorFrom(
  pieces: AsyncIterable<Buffer>,
  count: number,
  dtype: Dtype,
  options: { swap?: boolean; what: string },
): Promise<Tensor> {
  const width = widths[dtype];
  using bytes = keep(empty([count * width], { dtype: "uint8" }));
  let done = 0;
  for await (const piece of pieces) {
    if (options.swap) swapBytes(piece, width);
    using part = bytes.narrow(0, done, piece.length);
    part.copyFrom(piece);
    done += piece.length;
  }
  if (dtype === "bool") checkTruth(bytes, options.what);
  return keep(ops.viewDtype(bytes, dtype));
}

/** Bytes above 1 would be undefined behaviour in libtorch. */
export function checkTruth(bytes: Tensor, what: string): void {
  if (bytes.numel() === 0) return;
  using largest = bytes.max();
  if (largest.item() > 1) throw new UserError(`${what} has truth values above 1: the file is damaged; get it again`);
}

function swapBytes(piece: Buffer, width: number): void {
  if (width === 2) piece.swap16();
  else if (width === 4) piece.swap32();
  else if (width === 8) piece.swap64();
}
