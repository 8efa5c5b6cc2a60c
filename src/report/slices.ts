/** Parts of a split that a reader may care about: sub-folders where there are some, and thirds by brightness. N items. */
import { scope } from "../torch/index.ts";
import type { ReportData } from "./report-data.ts";

/** One way to part the items. */
export interface Slicing {
  name: string;
  /** Parts with positions 0 … N - 1 of their items. */
  parts: { name: string; items: number[] }[];
}

/** More sub-folders than this are no longer an overview. */
const mostFolders = 24;
const pixelBatch = 256;

/** @param indices positions of the N items in their data set */
export async function slicings(data: ReportData, indices: readonly number[]): Promise<Slicing[]> {
  const names = indices.map((index) => data.ids[index] ?? "");
  const folders = byFolder(names, new Set(data.classes));
  const brightness = thirds(await brightnessOf(data, indices), ["dark", "middling", "bright"]);
  return [...(folders ? [folders] : []), { name: "brightness", parts: brightness }];
}

/** By the folder below the class's own, of names such as "train/cat/night/7.png"; undefined where there are not several. */
export function byFolder(ids: readonly string[], classes: ReadonlySet<string>): Slicing | undefined {
  const parts = new Map<string, number[]>();
  for (const [i, id] of ids.entries()) {
    const path = id.split("/").slice(0, -1);
    const own = path.findIndex((name) => classes.has(name.normalize("NFC")));
    const folder = (own < 0 ? [] : path.slice(own + 1)).join("/") || "(none)";
    const part = parts.get(folder);
    if (part) part.push(i);
    else parts.set(folder, [i]);
  }
  if (parts.size < 2 || parts.size > mostFolders) return undefined;
  const sorted = [...parts].sort(([a], [b]) => (a < b ? -1 : 1));
  return { name: "sub-folder", parts: sorted.map(([name, items]) => ({ name, items })) };
}

/** Three parts of equal size by value; equal values stay in order. */
export function thirds(values: readonly number[], names: readonly [string, string, string]): Slicing["parts"] {
  const order = values.map((_, i) => i).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0) || a - b);
  const part = (i: number) => order.slice(Math.round((i * order.length) / 3), Math.round(((i + 1) * order.length) / 3));
  return names.map((name, i) => ({ name, items: part(i) })).filter(({ items }) => items.length > 0);
}

/** Mean luma (ITU-R BT.601) of each item, 0 … 255. */
async function brightnessOf(data: ReportData, indices: readonly number[]): Promise<number[]> {
  const values: number[] = [];
  for (let start = 0; start < indices.length; start += pixelBatch) {
    using pixels = await data.pixels(indices.slice(start, start + pixelBatch));
    const means = scope(() => pixels.narrow(1, 0, 3).to({ dtype: "float32" }).mean([2, 3]).toNumbers());
    for (let i = 0; i < means.length; i += 3) {
      values.push(0.299 * (means[i] ?? 0) + 0.587 * (means[i + 1] ?? 0) + 0.114 * (means[i + 2] ?? 0));
    }
  }
  return values;
}
