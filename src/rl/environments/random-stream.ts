/** The random numbers of one copy of an environment: a stream whose whole state is four integers. */
import { hashKeys } from "../../torch/index.ts";

/** Random draws for the rules of an environment. */
export interface Random {
  /** True with probability p. */
  chance(p: number): boolean;
  /** An integer in 0 … n - 1. */
  below(n: number): number;
  /** A number in [low, high). */
  uniform(low: number, high: number): number;
}

/** sfc32 ("small fast counting", Doty-Humphrey, PractRand): 128 bits of state, of which 32 are a counter. */
export class RandomStream implements Random {
  // Kept as signed 32-bit integers, which V8 holds without allocation.
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed a non-negative safe integer */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`seed ${seed} is not a non-negative integer`);
    this.#a = hashKeys(seed, 0) | 0;
    this.#b = hashKeys(seed, 1) | 0;
    this.#c = hashKeys(seed, 2) | 0;
    for (let i = 0; i < 12; i++) this.#next();
  }

  /** 32 bits, signed. */
  #next(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result;
  }

  chance(p: number): boolean {
    return this.uniform(0, 1) < p;
  }

  below(n: number): number {
    return Math.floor(this.uniform(0, n));
  }

  uniform(low: number, high: number): number {
    return low + ((this.#next() >>> 0) / 0x1_0000_0000) * (high - low);
  }

  state(): number[] {
    return [this.#a, this.#b, this.#c, this.#counter];
  }

  /** @throws RangeError for anything but four 32-bit integers */
  restore(state: unknown): void {
    if (!Array.isArray(state) || state.length !== 4 || !state.every((word) => word === (word | 0)))
      throw new RangeError("the state of a random stream is four 32-bit integers");
    [this.#a, this.#b, this.#c, this.#counter] = state as [number, number, number, number];
  }
}
