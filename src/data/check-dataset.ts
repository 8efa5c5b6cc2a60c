/** The data set doctor: what `data check` reports before anyone trains. */

import { scope, tensor } from "../torch/index.ts";
import { decodeImage, defaultPixelLimit } from "./decode.ts";
import { forEachConcurrently } from "./image-store.ts";
import { imagePrints, nearDuplicateGroups } from "./near-duplicates.ts";
import { openDataset } from "./registry.ts";

export interface DatasetReport {
  name: string;
  images: number;
  classes: { name: string; images: number }[];
  /** Files that cannot be used, each with the reason. */
  unreadable: { file: string; reason: string }[];
  /** Images that nearly repeat an earlier one. */
  duplicates: number;
  warnings: string[];
}

const side = 32;

/** Reads every image once. @throws UserError when the folder is no data set at all */
export async function checkDataset(
  nameOrFolder: string,
  onProgress?: (done: number, total: number) => void,
): Promise<DatasetReport> {
  const dataset = await openDataset(nameOrFolder);
  const bytes = new Uint8Array(dataset.items.length * 3 * side * side);
  const unreadable: { file: string; reason: string }[] = [];
  let done = 0;
  await forEachConcurrently(dataset.items, async (item, position) => {
    try {
      const pixels = await decodeImage(item, { size: side, channels: 3, pixelLimit: defaultPixelLimit });
      for (let p = 0; p < side * side; p++) {
        for (let c = 0; c < 3; c++) bytes[(position * 3 + c) * side * side + p] = pixels[p * 3 + c] ?? 0;
      }
    } catch (error) {
      unreadable.push({ file: item.id, reason: error instanceof Error ? error.message : String(error) });
    }
    done += 1;
    onProgress?.(done, dataset.items.length);
  });
  const bad = new Set(unreadable.map((entry) => entry.file));
  const readable = dataset.items.flatMap((item, i) => (bad.has(item.id) ? [] : [i]));
  const groups = scope(() => {
    const images = tensor(bytes, { shape: [dataset.items.length, 3, side, side] });
    return nearDuplicateGroups(imagePrints(images.index_select(0, tensor(BigInt64Array.from(readable, BigInt)))));
  });
  const classes = dataset.classes.map((name, label) => ({
    name,
    images: dataset.items.filter((item) => item.label === label).length,
  }));
  return {
    name: dataset.name,
    images: dataset.items.length,
    classes,
    unreadable: unreadable.sort((a, b) => (a.file < b.file ? -1 : 1)),
    duplicates: groups.filter((root, i) => root !== i && !dataset.items[readable[i] ?? 0]?.grouped).length,
    warnings: warnings(classes, unreadable.length),
  };
}

function warnings(classes: { name: string; images: number }[], unreadable: number): string[] {
  const found: string[] = [];
  const small = classes.filter((entry) => entry.images < 10);
  if (small.length > 0)
    found.push(`few images in: ${small.map((entry) => `${entry.name} (${entry.images})`).join(", ")}`);
  const counts = classes.map((entry) => entry.images);
  if (Math.max(...counts) > 10 * Math.min(...counts))
    found.push("the largest class has more than ten times the images of the smallest");
  if (unreadable > 0) found.push(`${unreadable} images cannot be used: remove them, or train with --skip-bad`);
  return found;
}
