/** Words that say what is trained of each member. This file needs no libtorch, so that help is quick. */
import { ConfigError } from "../torch/errors.ts";

/** Part of a member that is trained. */
export type Tune =
  /** Nothing: its head alone. */
  | { readonly kind: "head" }
  /** Biases, those of norms included (Ben Zaken, Goldberg & Ravfogel, "BitFit", ACL 2022). */
  | { readonly kind: "bitfit" }
  /** A scale and a shift after its layers. */
  | { readonly kind: "ssf" }
  /** Changes of its layers of low rank. */
  | { readonly kind: "lora"; readonly rank: number }
  /** Its last blocks, and what follows them. */
  | { readonly kind: "last"; readonly blocks: number }
  | { readonly kind: "all" };

/** Parts by member, and of all others. */
export interface TuneByMember {
  readonly others: Tune;
  readonly named: ReadonlyMap<string, Tune>;
}

const all: Tune = { kind: "all" };
const usualRank = 8;
const [mostRank, mostBlocks] = [1024, 1000];

/** What such a text must be. */
export const tuneWords = `head, bitfit, ssf, lora, lora:RANK, last:N or all, for all models or as NAME=WHAT, with commas between`;

/** The parts that a text names, such as "lora:8" or "lora:4,resnet=all"; undefined when it is none. */
function readTune(text: string): TuneByMember | undefined {
  const named = new Map<string, Tune>();
  let others: Tune | undefined;
  for (const word of text.split(",").map((part) => part.trim())) {
    const at = word.lastIndexOf("=");
    const name = word.slice(0, Math.max(0, at));
    const tune = tuneOf(word.slice(at + 1));
    if (!tune || (at < 0 ? others !== undefined : name === "" || named.has(name))) return undefined;
    if (at < 0) others = tune;
    else named.set(name, tune);
  }
  return { others: others ?? all, named };
}

function tuneOf(word: string): Tune | undefined {
  const [kind, count, more] = word.split(":");
  if (more !== undefined) return undefined;
  const number = count === undefined ? undefined : /^[1-9]\d{0,3}$/.test(count) ? Number(count) : Number.NaN;
  if (kind === "lora" && number === undefined) return { kind, rank: usualRank };
  if (kind === "lora" && number !== undefined && number <= mostRank) return { kind, rank: number };
  if (kind === "last" && number !== undefined && number <= mostBlocks) return { kind, blocks: number };
  if (number !== undefined) return undefined;
  return kind === "head" || kind === "bitfit" || kind === "ssf" || kind === "all" ? { kind } : undefined;
}

export function isTune(text: string): boolean {
  return readTune(text) !== undefined;
}

/** @throws ConfigError when the text names no parts */
export function parseTune(text: string): TuneByMember {
  const tune = readTune(text);
  if (tune) return tune;
  throw new ConfigError(`--tune is ${text}: it must be ${tuneWords}`);
}
