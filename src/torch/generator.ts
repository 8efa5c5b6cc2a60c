/** One random stream of libtorch. */
import { native } from "./native.ts";
import { Owned } from "./scope.ts";

/** An at::Generator: the state of one random stream. Lives until disposed or collected; no scope releases it. */
export class Generator extends Owned {
  readonly device: string;

  /** @param seed a non-negative safe integer */
  constructor(seed: number, device = "cpu") {
    if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`seed ${seed} is not a non-negative integer`);
    super(native.createGenerator(device, seed));
    this.device = device;
    this.kept = true;
  }

  /** The state as bytes, from which setState continues the stream exactly. */
  getState(): Uint8Array {
    const state = native.generatorState(this.handle);
    try {
      return new Uint8Array(native.readBytes(state));
    } finally {
      native.dispose(state);
    }
  }

  setState(bytes: Uint8Array): void {
    const state = native.fromBytes(bytes, [bytes.length], "uint8", "cpu");
    try {
      native.setGeneratorState(this.handle, state);
    } finally {
      native.dispose(state);
    }
  }
}
