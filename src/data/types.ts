/** What a data set is: classes, items, and where each item's pixels come from. */

/** Where the pixels of one item lie. */
export type ImageSource =
  /** `trim` cuts transparent margins off first. */
  | { kind: "file"; path: string; trim?: boolean }
  /** Raw 8-bit pixels inside a file: `channels` interleaved values for each pixel. */
  | { kind: "raw"; path: string; offset: number; width: number; height: number; channels: 1 | 3 }
  /** Text rendered with a font file. */
  | { kind: "glyph"; text: string; fontFile: string };

export interface Item {
  /** Unique in its data set; shown in reports and errors. */
  id: string;
  /** Position in `classes`; -1 when the item has none. */
  label: number;
  source: ImageSource;
  /** Items of one group stay on one side of every split. */
  group?: string;
  /** A published split that the item belongs to. */
  split?: "train" | "validation" | "test";
}

export interface Dataset {
  name: string;
  classes: string[];
  items: Item[];
  licence: string;
  /** Where the images come from. */
  origin: string;
}

/** A data set that is known by name. */
export interface KnownDataset {
  name: string;
  /** Sources may serve for pre-training; targets never do. */
  role: "source" | "target";
  summary: string;
  licence: string;
  origin: string;
  /** Packages that `data fetch` brings, by their names in packages.ts. */
  packages: readonly string[];
  /** Opens it from unpacked package folders, in the order of `packages`. */
  open(folders: readonly string[]): Promise<Dataset>;
}
