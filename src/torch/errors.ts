/** Errors that users see: what was wrong, where, and what to do about it. */

/** Bad input from the user (a file, a value, an image); commands end with exit code 1. */
export class UserError extends Error {
  override readonly name: string = "UserError";
  readonly exitCode: number = 1;
}

/** A wrong set-up or configuration (no libtorch, options that contradict each other); commands end with exit code 2. */
export class ConfigError extends UserError {
  override readonly name: string = "ConfigError";
  override readonly exitCode: number = 2;
}

/** An operator of libtorch refused its arguments. */
export class TorchError extends Error {
  override readonly name: string = "TorchError";
  readonly operator: string;
  readonly shapes: string;

  constructor(operator: string, shapes: string, message: string) {
    super(`${operator}(${shapes}): ${message.trim()}`);
    this.operator = operator;
    this.shapes = shapes;
  }
}

/** Work that stopped because its AbortSignal did; what a command keeps is saved. */
export class Interrupted extends Error {
  override readonly name: string = "Interrupted";
}
