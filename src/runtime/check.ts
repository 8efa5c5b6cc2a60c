/** Checks of what JSON holds, small enough for browsers: each gives the value with its type, or says where it is not as it should be. */

/** A bundle, or an image, that cannot be used; the message says what to do. */
export class BundleError extends Error {
  override readonly name = "BundleError";
}

/** Gives `value` with its type. @throws BundleError with the place, such as members.0.name */
export type Check<T> = (value: unknown, place: string) => T;
export type Checked<C> = C extends Check<infer T> ? T : never;

function refuse(place: string, expected: string): never {
  throw new BundleError(`${place === "" ? "the file" : place}: ${expected} is expected`);
}

function when<T>(expected: string, holds: (value: unknown) => value is T): Check<T> {
  return (value, place) => (holds(value) ? value : refuse(place, expected));
}

export const text: Check<string> = when("a text", (value) => typeof value === "string");

export function matching(pattern: RegExp, expected: string): Check<string> {
  return when(expected, (value): value is string => typeof value === "string" && pattern.test(value));
}

export function number(low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY): Check<number> {
  const range = Number.isFinite(low) ? ` from ${low}${Number.isFinite(high) ? ` to ${high}` : ""}` : "";
  return when(
    `a number${range}`,
    (value): value is number => typeof value === "number" && Number.isFinite(value) && value >= low && value <= high,
  );
}

export function whole(low: number): Check<number> {
  return when(
    `a whole number from ${low}`,
    (value): value is number => Number.isSafeInteger(value) && Number(value) >= low,
  );
}

export function constant<const T extends string | number>(expected: T): Check<T> {
  return when(JSON.stringify(expected), (value): value is T => value === expected);
}

export function either<A, B>(first: Check<A>, second: Check<B>): Check<A | B> {
  return (value, place) => {
    try {
      return first(value, place);
    } catch {
      return second(value, place);
    }
  };
}

export function list<T>(item: Check<T>, low = 0, high = Number.POSITIVE_INFINITY): Check<T[]> {
  return (value, place) => {
    if (!Array.isArray(value) || value.length < low || value.length > high) {
      const count = low === high ? `${low}` : `at least ${low}`;
      return refuse(place, `a list of ${count}`);
    }
    return value.map((one, i) => item(one, within(place, i)));
  };
}

export function pair<A, B>(first: Check<A>, second: Check<B>): Check<[A, B]> {
  return (value, place) => {
    const [a, b] = list((one) => one, 2, 2)(value, place);
    return [first(a, within(place, 0)), second(b, within(place, 1))];
  };
}

/** An object whose keys are names. */
export function table<T>(name: Check<string>, entry: Check<T>): Check<Record<string, T>> {
  return (value, place) => {
    const entries = Object.entries(fields(value, place));
    return Object.fromEntries(
      entries.map(([key, one]) => [name(key, within(place, key)), entry(one, within(place, key))]),
    );
  };
}

type Shape = Record<string, Check<unknown>>;
type Plain<T> = { [K in keyof T]: T[K] };
type Fields<R extends Shape, O extends Shape> = Plain<
  { [K in keyof R]: Checked<R[K]> } & { [K in keyof O]?: Checked<O[K]> | undefined }
>;

/** An object with these fields, and no others. */
export function record<R extends Shape, O extends Shape = Record<never, never>>(
  required: R,
  optional: O = {} as O,
): Check<Fields<R, O>> {
  return (value, place) => {
    const found = fields(value, place);
    const unknown = Object.keys(found).find((key) => !Object.hasOwn(required, key) && !Object.hasOwn(optional, key));
    if (unknown !== undefined) refuse(within(place, unknown), "no such field");
    const checks = [
      ...Object.entries(required),
      ...Object.entries(optional).filter(([key]) => found[key] !== undefined),
    ];
    return Object.fromEntries(checks.map(([key, check]) => [key, check(found[key], within(place, key))])) as Fields<
      R,
      O
    >;
  };
}

function fields(value: unknown, place: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  return refuse(place, "an object");
}

/** Keys of strangers' files stay short in messages. */
const within = (place: string, key: string | number): string =>
  `${place === "" ? "" : `${place}.`}${String(key).slice(0, 40)}`;
