/** Patterns of several names: {000..009} and {a,b}. */
import { UserError } from "../../torch/index.ts";

const mostShards = 100_000;

/** A pattern's names, in order: {000..009} counts with as many digits, {a,b} names both. */
export function expanded(pattern: string): string[] {
  const [, before = "", inside = "", after = ""] = /^(.*?)\{([^{}]*)\}(.*)$/s.exec(pattern) ?? [];
  const range = /^(\d+)\.\.(\d+)$/.exec(inside);
  if (!range && !inside.includes(",")) return [pattern];
  const [from, to] = [Number(range?.[1]), Number(range?.[2])];
  if (range && !(from <= to && to - from < mostShards))
    throw new UserError(`${pattern}: {${inside}} must count up, by at most ${mostShards}`);
  const digits = range?.[1]?.length ?? 0;
  const names = range
    ? Array.from({ length: to - from + 1 }, (_, i) => String(from + i).padStart(digits, "0"))
    : inside.split(",");
  const rest = expanded(after);
  return names.flatMap((name) => rest.map((end) => before + name + end));
}
