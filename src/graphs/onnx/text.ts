/** Text of a file in messages: it may hold anything. */
import { printable } from "../../io/index.ts";

const longest = 80;

/** A name in quotes, short, without control characters. */
export function quoted(name: string): string {
  const short = name.length > longest ? `${name.slice(0, longest - 3)}...` : name;
  return printable(JSON.stringify(short));
}

/** A name that stands bare: the kind of an operator. */
export function bare(name: string): string {
  return quoted(name).slice(1, -1);
}

/** A shape in brackets. */
export function shapeText(shape: readonly number[]): string {
  const shown = shape.length > 8 ? [...shape.slice(0, 8), "..."] : shape;
  return `[${shown.join(", ")}]`;
}
