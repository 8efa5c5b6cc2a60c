/** MIT-Indoors (Quattoni & Torralba 2009): indoor scenes, with the published lists of 80 training and 20 test images a class. */
import { join } from "node:path";
import { quoted } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { Dataset, Item, PublishedDataset } from "../types.ts";
import { isFolder, readLines, requireImages, rootWith } from "./files.ts";

export const mitIndoors: PublishedDataset = {
  name: "mit-indoors",
  summary: "6,700 photographs of 67 kinds of rooms and indoor places; 1,340 are the test split",
  licence: "for research; the images belong to their photographers",
  origin: "https://web.mit.edu/torralba/www/indoor.html",
  layout: "TrainImages.txt, TestImages.txt and Images/ with a folder for each class",
  async open(folder): Promise<Dataset> {
    const { name, licence, origin } = mitIndoors;
    const root = rootWith(folder, ["", "indoorCVPR_09", "mit-indoors"], "TrainImages.txt", mitIndoors);
    const images = join(root, isFolder(join(root, "images")) ? "images" : "Images");
    const train = namesIn(join(root, "TrainImages.txt"), images);
    const test = namesIn(join(root, "TestImages.txt"), images);
    const classes = [...new Set(train.map(classOf))].sort();
    const untrained = test.find((path) => !classes.includes(classOf(path)));
    if (untrained !== undefined) {
      throw new UserError(
        `${join(root, "TestImages.txt")} names ${quoted(untrained)}, but TrainImages.txt has nothing of its class: unpack both again`,
      );
    }
    const part = (names: readonly string[], split: "train" | "test") =>
      names.map((path): Item => {
        const source = { kind: "file", path: join(images, path) } as const;
        return { id: path, label: classes.indexOf(classOf(path)), source, ...(split === "test" ? { split } : {}) };
      });
    return { name, classes, licence, origin, items: [...part(train, "train"), ...part(test, "test")] };
  },
};

const classOf = (path: string): string => path.split("/")[0] ?? "";

/** Lines CLASS/FILE. */
function namesIn(list: string, images: string): string[] {
  const names = readLines(list, mitIndoors);
  const odd = names.find((name) => !/^[^/]+\/[^/]+$/.test(name));
  if (odd !== undefined) throw new UserError(`${list}: the line ${quoted(odd)} is not CLASS/FILE: unpack it again`);
  requireImages(images, names, list);
  return names;
}
