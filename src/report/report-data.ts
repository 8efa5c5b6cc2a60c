/** The part of a run's data that a report reads. */
import type { TaskData } from "../train/index.ts";

/** Names, classes and pixels of a run's images. */
export type ReportData = Pick<TaskData, "imageSize" | "pixels"> & {
  readonly ids: readonly string[];
  readonly classes: readonly string[];
};
