/** What a file holds, in messages: it may be anything. */
import { printable } from "../../io/index.ts";

/** A value in a message: short, whatever it is. */
export function shown(value: unknown): string {
  return told(JSON.stringify(value) ?? String(value), 80);
}

/** A text in a message, which may quote the file: bounded, without control characters. */
export function told(text: string, limit = 400): string {
  const short = text.length > limit ? `${text.slice(0, limit - 3)}...` : text;
  return printable(short);
}

/** Values in a message: the first few. */
export function listed(values: readonly unknown[], limit = 16): string {
  const first = values.slice(0, limit).map((value) => shown(value));
  return `${first.join(", ")}${values.length > limit ? ` and ${values.length - limit} more` : ""}`;
}
