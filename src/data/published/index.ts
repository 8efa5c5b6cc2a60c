/** Published data sets that users have in a folder, in their own files. */
import type { PublishedDataset } from "../types.ts";
import { aircraft } from "./aircraft.ts";
import { cifar100 } from "./cifar-100.ts";
import { coco70 } from "./coco-70.ts";
import { dmlab } from "./dmlab.ts";
import { euroSat } from "./eurosat.ts";
import { mitIndoors } from "./mit-indoors.ts";
import { stanfordCars } from "./stanford-cars.ts";

export const publishedDatasets: readonly PublishedDataset[] = [
  cifar100,
  coco70,
  aircraft,
  stanfordCars,
  mitIndoors,
  dmlab,
  euroSat,
];
