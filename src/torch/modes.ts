/** Modes of execution: each is a synchronous scope, so that nothing is ambient across an `await`. */
import { type Dtype, native } from "./native.ts";
import { Tensor } from "./tensor.ts";

function refusePromise<T>(name: string, result: T): T {
  if (result instanceof Promise) throw new TypeError(`${name}(fn) is synchronous: await outside of it`);
  return result;
}

/** Runs `fn` without recording for autograd. */
export function noGrad<T>(fn: () => T): T {
  const before = native.gradEnabled();
  native.setGradEnabled(false);
  try {
    return refusePromise("noGrad", fn());
  } finally {
    native.setGradEnabled(before);
  }
}

/** Runs `fn` recording for autograd, inside a noGrad too. */
export function enableGrad<T>(fn: () => T): T {
  const before = native.gradEnabled();
  native.setGradEnabled(true);
  try {
    return refusePromise("enableGrad", fn());
  } finally {
    native.setGradEnabled(before);
  }
}

export function isGradEnabled(): boolean {
  return native.gradEnabled();
}

/** Like noGrad, and without version counting: tensors made inside can never enter autograd. */
export function inferenceMode<T>(fn: () => T): T {
  return inInference(true, () => refusePromise("inferenceMode", fn()));
}

let inferring = false;

/** True inside `inferenceMode`. */
export function isInferenceMode(): boolean {
  return inferring;
}

function inInference<T>(isOn: boolean, fn: () => T): T {
  const before = inferring;
  native.enterInference(isOn);
  inferring = isOn;
  try {
    return fn();
  } finally {
    inferring = before;
    native.exitInference();
  }
}

/** Runs `fn` outside of inference mode, inside one: for tensors that outlive it. */
export function normalMode<T>(fn: () => T): T {
  return inInference(false, () => refusePromise("normalMode", fn()));
}

export interface AutocastOptions {
  /** A device whose operators are meant; which one of its kind does not matter. */
  device?: string;
  dtype?: Dtype;
  enabled?: boolean;
}

let casting = false;

/** True inside `autocast`. */
export function isAutocast(): boolean {
  return casting;
}

/** Runs `fn` with matrix products and convolutions in a lower precision (default bfloat16); backward belongs outside. */
export function autocast<T>(options: AutocastOptions, fn: () => T): T {
  const [before, isEnabled] = [casting, options.enabled ?? true];
  const [kind = "cpu"] = options.device?.split(":") ?? [];
  native.enterAutocast(kind, options.dtype ?? "bfloat16", isEnabled);
  casting = isEnabled;
  try {
    return refusePromise("autocast", fn());
  } finally {
    casting = before;
    native.exitAutocast();
  }
}

export interface GradOptions {
  grad_outputs?: readonly (Tensor | undefined)[];
  retain_graph?: boolean;
  create_graph?: boolean;
  allow_unused?: boolean;
}

/** Gradients of the outputs with respect to the inputs, without touching `.grad`; undefined for unused inputs. */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions = {},
): (Tensor | undefined)[] {
  const create = options.create_graph ?? false;
  const handles = native.grad(
    outputs.map((tensor) => tensor.handle),
    inputs.map((tensor) => tensor.handle),
    outputs.map((_, i) => options.grad_outputs?.[i]?.handle),
    options.retain_graph ?? create,
    create,
    options.allow_unused ?? false,
  );
  return handles.map((handle) => handle && new Tensor(handle));
}
