/** Target: Fashion-MNIST (Xiao et al. 2017), with its published test split. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { writeFileAtomic } from "../../io/index.ts";
import { idxItems } from "../idx.ts";
import type { Dataset, KnownDataset } from "../types.ts";

const classes = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

export const fashionMnist: KnownDataset = {
  name: "fashion-mnist",
  role: "target",
  summary: "70,000 grey images of clothing, 28 px, 10 classes; 10,000 are the test split",
  licence: "MIT (Zalando SE)",
  origin: "Debian package dataset-fashion-mnist",
  packages: ["dataset-fashion-mnist"],
  async open([folder = ""]): Promise<Dataset> {
    const root = join(folder, "usr/share/datasets/fashion-mnist");
    const unpacked = (name: string): string => {
      const path = join(root, name);
      if (!existsSync(path)) writeFileAtomic(path, [gunzipSync(readFileSync(`${path}.gz`))]);
      return path;
    };
    const part = (prefix: string, split: "train" | "test") =>
      idxItems(unpacked(`${prefix}-images-idx3-ubyte`), unpacked(`${prefix}-labels-idx1-ubyte`), prefix).map(
        (item) => ({
          ...item,
          ...(split === "test" ? { split } : {}),
        }),
      );
    return {
      name: "fashion-mnist",
      classes,
      licence: fashionMnist.licence,
      origin: fashionMnist.origin,
      items: [...part("train", "train"), ...part("t10k", "test")],
    };
  },
};
