/** Data sets: classes, items, and the source of each item's pixels. */

/** A part of an image in its stored pixels: a box, or all but some rows at the bottom. */
export type Crop = { left: number; top: number; width: number; height: number } | { bottom: number };

/** Place of the pixels of one item. */
export type ImageSource =
  /** `trim` cuts transparent margins off first; `crop` leaves one part of the image. */
  | { kind: "file"; path: string; trim?: boolean; crop?: Crop }
  /** Raw 8-bit pixels inside a file: `channels` interleaved values for each pixel, or one plane after the other. */
  | { kind: "raw"; path: string; offset: number; width: number; height: number; channels: 1 | 3; planar?: boolean }
  /** An encoded image inside a larger file. */
  | { kind: "part"; path: string; offset: number; length: number }
  /** An encoded image in a shard, with the hash of its bytes. */
  | { kind: "shard"; shard: Bytes; offset: number; length: number; sha256: string }
  /** An encoded image in memory. */
  | { kind: "bytes"; bytes: Uint8Array }
  /** Text rendered with a font file, by its name as Pango takes it; left out, that follows from the file's. */
  | { kind: "glyph"; text: string; fontFile: string; font?: string };

/** One version of a file, here or elsewhere, that is read in parts. */
export interface Bytes {
  /** For messages. */
  readonly name: string;
  readonly size: number;
  /** Mark of this version: another content has another one. */
  readonly version: string;
  /** A copy of a part. @throws UserError when it cannot be had, or the file has changed */
  read(offset: number, length: number): Promise<Buffer>;
}

/** What labels are: one class of each image, any number of classes, or numbers. */
export const taskKinds = ["classification", "multi-label", "regression"] as const;

export type TaskKind = (typeof taskKinds)[number];

export interface Item {
  /** Unique in its data set; shown in reports and errors. */
  id: string;
  /** Position in `classes`; -1 when the item has none. With `targets` it is a stratum of splits instead. */
  label: number;
  /** [C], with several labels 1 for each class that the image has and else 0, with numbers the values. */
  targets?: readonly number[];
  source: ImageSource;
  /** Items of one group stay on one side of every split. */
  group?: string;
  /** A published split that the item belongs to. */
  split?: "train" | "validation" | "test";
}

export interface Dataset {
  name: string;
  /** Left out, each image has one class. */
  task?: Exclude<TaskKind, "classification">;
  /** Names of the classes, or of the numbers. */
  classes: string[];
  items: Item[];
  licence: string;
  /** Source of the images. */
  origin: string;
  /** A known or published data set: its own groups are kept, and no other copies are looked for. */
  asPublished?: boolean;
  /** Classes of a mix that are of data sets without a split of their own, beside others that have one. */
  unsplit?: ReadonlySet<number>;
  /** Files that are not used, and why. */
  ignored?: Ignored[];
  /** Remarks for the user on how the files were read. */
  notes?: string[];
}

/** Files of a folder, or rows and samples of shards, that are left out for one reason. */
export interface Ignored {
  /** Kind of the things that are left out; files when it is not given. */
  unit?: "row" | "sample" | undefined;
  reason: string;
  count: number;
  /** Their names relative to the folder, 10,000 at most. */
  examples: string[];
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
  /** Parts that can be opened alone. */
  parts?: readonly KnownDataset[];
  /** Opens it from unpacked package folders, in the order of `packages`. */
  open(folders: readonly string[]): Promise<Dataset>;
}

/** A published data set in its own files, which users have in a folder: `--data NAME:FOLDER`. */
export interface PublishedDataset {
  name: string;
  summary: string;
  licence: string;
  /** Address where it can be had. */
  origin: string;
  /** Files that the folder must hold. */
  layout: string;
  /** @throws UserError naming the file that is missing or damaged, and what to do */
  open(folder: string): Promise<Dataset>;
}
