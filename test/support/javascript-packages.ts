/** Runs the code of npm packages that are built on TensorFlow.js, with the tests' own TensorFlow.js under them. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { core, layers } from "../fixtures/tfjs/oracle.ts";

const require = createRequire(import.meta.url);
const converter = require("@tensorflow/tfjs-converter") as object;
const wasm = require("@tensorflow/tfjs-backend-wasm") as object;

type Operator = (...args: unknown[]) => unknown;

/** Operators as methods of tensors, as the whole of TensorFlow.js has them and its core does not. */
function chain(): void {
  const operators = core as unknown as Record<string, unknown>;
  const { prototype } = core.Tensor as unknown as { prototype: Record<string, Operator> };
  for (const name of "add sub mul div mean reshape cast relu expandDims concat argMax".split(" ")) {
    prototype[name] ??= function (this: unknown, ...rest: unknown[]) {
      return (operators[name] as Operator)(this, ...rest);
    };
  }
  prototype["toFloat"] ??= function (this: unknown) {
    return core.cast(this as never, "float32");
  };
  prototype["as1D"] ??= function (this: { size: number }) {
    return core.reshape(this as never, [this.size]);
  };
  for (const rank of [2, 3, 4]) {
    prototype[`as${rank}D`] ??= function (this: unknown, ...shape: unknown[]) {
      return core.reshape(this as never, shape as number[]);
    };
  }
}

/** Exports of a CommonJS file of a package. */
export function packageCode(path: string): Record<string, unknown> {
  chain();
  const own = createRequire(path);
  // The parts export accessors: spread them into plain values, as the whole package has them.
  const whole = { ...core, ...layers, ...converter };
  const provided = (name: string): unknown => {
    if (name === "@tensorflow/tfjs") return whole;
    return name === "@tensorflow/tfjs-backend-wasm" ? wasm : own(name);
  };
  const module = { exports: {} as Record<string, unknown> };
  const run = new Function("require", "module", "exports", readFileSync(path, "utf8")) as Operator;
  run(provided, module, module.exports);
  return module.exports;
}
