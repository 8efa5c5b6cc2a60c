/** From the keys of a weights file to those of an architecture. */
import { keyLayout } from "../models/index.ts";
import type { Tensor } from "../torch/index.ts";
import type { MemberEntry } from "./manifest.ts";

/**
 * Applies a manifest's key map: keeps what starts with the prefix and strips it, leaves out the beginnings to drop,
 * renames the first beginning that fits, then converts a whole layout. Tensors are the given ones, except those that a
 * layout makes, which belong to the scope of the caller.
 */
export function mapKeys(tensors: ReadonlyMap<string, Tensor>, map: MemberEntry["keyMap"]): Map<string, Tensor> {
  const mapped = new Map<string, Tensor>();
  for (const [key, value] of tensors) {
    if (!key.startsWith(map.prefix)) continue;
    const name = key.slice(map.prefix.length);
    if (!map.drop.some((beginning) => name.startsWith(beginning))) mapped.set(renamed(name, map.rename), value);
  }
  return map.layout === undefined ? mapped : keyLayout(map.layout).convert(mapped);
}

function renamed(name: string, renames: Readonly<Record<string, string>>): string {
  for (const [from, to] of Object.entries(renames)) if (name.startsWith(from)) return to + name.slice(from.length);
  return name;
}
