/** Named random streams: each purpose (initialisation, noise, sampling) draws from its own generator, which is saved and restored. */
import { createHash } from "node:crypto";
import { UserError } from "./errors.ts";
import { Generator } from "./generator.ts";
import { noGrad } from "./modes.ts";
import { scope } from "./scope.ts";
import { ops, type Tensor } from "./tensor.ts";

/**
 * Fills a tensor with a stream's numbers. They are drawn where the stream is and copied to where the tensor is: a run on a
 * GPU begins with the same weights, and sees the same noise, as on the CPU.
 * @param draw fills the tensor that it is given
 */
export function drawInto(target: Tensor, generator: Generator, draw: (place: Tensor) => Tensor): Tensor {
  if (target.device === generator.device) return draw(target);
  return scope(() => noGrad(() => target.copy_(draw(ops.empty_like(target, { device: generator.device })))));
}

/** Random streams by name, each seeded by the run's seed and its own name. */
export class RandomStreams {
  readonly seed: number;
  readonly device: string;
  readonly #streams = new Map<string, Generator>();

  constructor(seed: number, device = "cpu") {
    this.seed = seed;
    this.device = device;
  }

  /** The stream of this name, created at its first use. */
  stream(name: string): Generator {
    let generator = this.#streams.get(name);
    if (!generator) {
      generator = new Generator(seedOf(this.seed, name), this.device);
      this.#streams.set(name, generator);
    }
    return generator;
  }

  /** All states as base64 text, for a checkpoint. */
  state(): Record<string, string> {
    const entries = Array.from(this.#streams, ([name, generator]) => [
      name,
      Buffer.from(generator.getState()).toString("base64"),
    ]);
    return Object.fromEntries(entries) as Record<string, string>;
  }

  /** @throws UserError naming the stream whose state is none */
  restore(state: Record<string, string>): void {
    for (const [name, text] of Object.entries(state)) {
      try {
        this.stream(name).setState(new Uint8Array(Buffer.from(text, "base64")));
      } catch (error) {
        throw new UserError(`the state of the random stream "${name}" is damaged`, { cause: error });
      }
    }
  }

  dispose(): void {
    for (const generator of this.#streams.values()) generator.dispose();
    this.#streams.clear();
  }
}

/** A seed for a named purpose: 48 bits of a hash, so that neighbouring seeds have unrelated streams. */
export function seedOf(seed: number, name: string): number {
  return createHash("sha256").update(`${seed}/${name}`).digest().readUIntBE(0, 6);
}
