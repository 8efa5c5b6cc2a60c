/** Bytes that a forward pass keeps for its backward pass, by watching every operator call. */
import { hasOperator, schemaOf, watchCalls } from "./call.ts";
import { elementBytes } from "./factories.ts";
import { scope } from "./scope.ts";
import { Script } from "./script.ts";
import { Tensor } from "./tensor.ts";

/**
 * Running sum of the bytes of results that a gradient goes back through; views and in-place results have no memory of their own.
 * Some are not kept, such as sums: they stand for what the backward pass takes beside the rest.
 */
export class ActivationMeter {
  bytes = 0;

  /** Runs `fn`, which must not be asynchronous, and adds up what it calls. */
  count<T>(fn: () => T): T {
    return watchCalls((operator, args, result) => {
      this.bytes += bytesMade(operator, args, result);
    }, fn);
  }
}

function bytesMade(operator: string, [program, x]: readonly unknown[], result: unknown): number {
  if (!(firstOf(result) as Tensor | undefined)?.requires_grad) return 0;
  if (program instanceof Script && x instanceof Tensor) return bytesInside(program, x);
  return makesMemory(operator) ? bytesOf(result) : 0;
}

/** The same of a program, by a run of its own for one row. */
function bytesInside(program: Script, x: Tensor): number {
  const calls = scope(() =>
    program.calls(x.narrow(0, 0, 1)).map(([name, , own]) => (makesMemory(name) ? bytesOf(own) : 0)),
  );
  return x.size(0) * calls.reduce((sum, bytes) => sum + bytes, 0);
}

/** False for views and in-place operators, whose schemas say that results share memory with arguments. */
function makesMemory(operator: string): boolean {
  return hasOperator(operator) && !/-> .*\(\w/.test(schemaOf(operator).schema);
}

const firstOf = (result: unknown): unknown => (Array.isArray(result) ? result[0] : result);

function bytesOf(result: unknown): number {
  if (Array.isArray(result)) return result.reduce<number>((sum, part) => sum + bytesOf(part), 0);
  return result instanceof Tensor ? result.numel() * elementBytes(result.dtype) : 0;
}
