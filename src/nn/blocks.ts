/** The parts of a network in the order in which they run. */
import type { Module } from "./module.ts";
import { Sequential } from "./sequential.ts";

/** Children of a network, with those of a sequence in its place. */
export function partsOf(network: Module): Module[] {
  return [...network.children().values()].flatMap((part) => (part instanceof Sequential ? partsOf(part) : [part]));
}

/** Parts that have parts themselves: residual blocks, transformer layers, branches. Of a plain chain, its layers. */
export function blocksOf(network: Module): Module[] {
  const parts = partsOf(network);
  const composite = parts.filter((part) => part.children().size > 0);
  return composite.length > 0 ? composite : parts.filter((part) => part.parameters().some((own) => own.dim() > 1));
}
