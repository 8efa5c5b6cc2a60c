/** Numeric assertions: closeness of tensors, gradients by finite differences, and leak checks. */
import assert from "node:assert/strict";
import { grad, memory, noGrad, scope, Tensor } from "../../src/torch/index.ts";

/** Every element within `atol + rtol * |expected|`. */
export function assertClose(actual: Tensor, expected: Tensor | readonly number[], tolerance = 1e-6, what = ""): void {
  if (expected instanceof Tensor && isWithin(actual, expected, tolerance)) return;
  const a = actual.toNumbers();
  const b = expected instanceof Tensor ? expected.toNumbers() : expected;
  assert.equal(a.length, b.length, `${what} number of elements`);
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? Number.NaN;
    const y = b[i] ?? Number.NaN;
    if (Math.abs(x - y) <= tolerance * (1 + Math.abs(y)) || Object.is(x, y)) continue;
    assert.fail(`${what} element ${i}: ${x} is not close to ${y} (tolerance ${tolerance})`);
  }
}

/** True when all elements are close, computed at once; false means that each has to be looked at. */
function isWithin(actual: Tensor, expected: Tensor, tolerance: number): boolean {
  if (String(actual.shape) !== String(expected.shape) || actual.numel() === 0) return false;
  return scope(() => {
    const [a, b] = [actual, expected].map((own) => own.detach().to({ dtype: "float64", device: "cpu" })) as [
      Tensor,
      Tensor,
    ];
    const excess = a.sub(b).abs().sub(b.abs().add(1).mul(tolerance));
    return excess.max().item() <= 0;
  });
}

/** Compares autograd with central differences, for a scalar function of float64 tensors. */
export function assertGradients(fn: (...inputs: Tensor[]) => Tensor, inputs: Tensor[], tolerance = 1e-6): void {
  for (const input of inputs) input.requires_grad = true;
  scope(() => {
    const analytic = grad([fn(...inputs)], inputs);
    for (const [position, input] of inputs.entries()) {
      const gradient = analytic[position]?.toNumbers() ?? [];
      const values = Float64Array.from(input.toNumbers());
      for (let i = 0; i < values.length; i++) {
        const numeric = scope(() => noGrad(() => centralDifference(fn, inputs, input, values, i)));
        const exact = gradient[i] ?? Number.NaN;
        if (Math.abs(exact - numeric) <= tolerance * (1 + Math.abs(numeric))) continue;
        assert.fail(`gradient of input ${position}, element ${i}: autograd ${exact}, finite difference ${numeric}`);
      }
    }
  });
}

function centralDifference(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: Tensor[],
  input: Tensor,
  values: Float64Array,
  i: number,
): number {
  const step = 1e-6;
  const original = values[i] ?? 0;
  const set = (value: number): void => {
    values[i] = value;
    input.copyFrom(values);
  };
  const at = (value: number): number => {
    set(value);
    return fn(...inputs).item();
  };
  const difference = (at(original + step) - at(original - step)) / (2 * step);
  set(original);
  return difference;
}

/** Fails when `fn` leaves more live handles behind than it found. */
export function assertNoLeak(fn: () => void): void {
  fn();
  const before = memory().handles;
  fn();
  assert.equal(memory().handles, before, "live handles after the run");
}
