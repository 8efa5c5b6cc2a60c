/** Values of options that several commands share. */
import { type Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import { mostThreads } from "../torch/environment.ts";
import type { Choice, Choices } from "../train/method.ts";
import { reader } from "./settings.ts";

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("not a number");
  return value;
}

/** Readers of numbers in the ranges that commands share. */
export const count = reader(z.int().min(1));
export const whole = reader(z.int().min(0));
export const positive = reader(z.number().gt(0));
export const factor = reader(z.number().min(0).max(1e6));
export const seed = reader(z.int().min(0));
export const threads = reader(z.int().min(1).max(mostThreads));
export const probability = reader(z.number().gt(0).max(1));
const openShare = reader(z.number().gt(0).lt(1));
export const imageSide = reader(z.int().min(8).max(4096));

/** Adds the two ways to choose a threshold of rejection. */
export function addRejection(command: Command): Command {
  return command
    .option(
      "--coverage <p>",
      'answer this share of images; the least sure ones are rejected ("I don\'t know")',
      probability,
    )
    .option(
      "--max-error <p>",
      "answer as many as have at most this share of wrong answers; reject the rest",
      openShare,
    );
}

/**
 * name=value, gathered over repetitions. A value is read as JSON, or taken as text where it is none.
 * @throws InvalidArgumentError for anything else, for a list or text in JSON that does not end, and for a repeated name
 */
export function choice(text: string, before: Choices = {}): Choices {
  const at = text.indexOf("=");
  const name = text.slice(0, at);
  if (at < 1) throw new InvalidArgumentError("not name=value, such as temperature=2");
  if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`"${name}" is given twice`);
  return { ...before, [name]: jsonOrText(text.slice(at + 1)) };
}

function jsonOrText(text: string): Choice {
  try {
    return JSON.parse(text);
  } catch {
    if (/^\s*["[{]/.test(text)) throw new InvalidArgumentError(`${text} is not JSON`);
    return text;
  }
}

export const choiceHelp = "a choice of the method by its name, in JSON or plain text; may be repeated";

const units: Readonly<Record<string, number>> = {
  "": 1,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  KI: 2 ** 10,
  MI: 2 ** 20,
  GI: 2 ** 30,
  TI: 2 ** 40,
};

function parseBytes(text: string): number {
  const [, amount = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?$/i.exec(text.trim()) ?? [];
  return Math.floor((amount === "" ? Number.NaN : Number(amount)) * (units[unit.toUpperCase()] ?? Number.NaN));
}

/** Names with commas between. */
export function commaSeparated(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.some((name) => name === "")) throw new InvalidArgumentError("not names with commas between");
  return names;
}

export const memoryWords = "an amount of memory such as 800MB or 2GiB";

/** An amount of memory: a number of bytes, or text with a unit. */
export const memory = z.union([z.int().min(1), z.string().transform(parseBytes).pipe(z.int().min(1))]);

/** An amount of memory such as 800MB, 2GiB or a number of bytes. */
export function bytes(text: string): number {
  const parsed = memory.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(`It must be ${memoryWords}.`);
  return parsed.data;
}

export const hubMemoryHelp = "memory for the hub's weights and their optimizer state, such as 2GiB (default: all fit)";
export const taskHelp = "what labels are, where a list leaves it open";
export const trustHelp = "load TorchScript models too, which are programs: they can read and write your files";
export const rankTimeoutHelp = "wait of a rank for the others; at the start at least 600 (default: 1800)";
export const deviceHelp = "where to compute: cpu, cuda or cuda:N";

/** Means and deviations of values in [0, 1] that published networks use. */
export const normalisations = {
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  half: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  unit: { mean: [0, 0, 0], std: [1, 1, 1] },
} as const;
