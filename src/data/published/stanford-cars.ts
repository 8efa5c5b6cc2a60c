/** Stanford Cars (Krause et al. 2013): models of cars, with the published test split, from its devkit or from folders of classes. */
import { join } from "node:path";
import { quoted } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import { imageFolder } from "../image-folder.ts";
import type { Dataset, Item, PublishedDataset } from "../types.ts";
import { isFile, isFolder, requireImages, requireLabel, rootWith } from "./files.ts";
import { type MatValue, readMat } from "./formats/mat-file.ts";

export const stanfordCars: PublishedDataset = {
  name: "stanford-cars",
  summary: "16,185 photographs of 196 models of cars; 8,041 are the test split",
  licence: "for non-commercial research only",
  origin: "https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
  layout:
    "devkit/ (cars_meta.mat, cars_train_annos.mat), cars_test_annos_withlabels.mat, cars_train/ and cars_test/, " +
    "or train/ and test/ with a folder for each class",
  async open(folder): Promise<Dataset> {
    const { name, licence, origin } = stanfordCars;
    const classFolders = ["", "car_data", "car_data/car_data"].map((part) => join(folder, part));
    const sorted = classFolders.find((root) => isFolder(join(root, "train")) && isFolder(join(root, "test")));
    if (sorted !== undefined) return { ...imageFolder(sorted), name, licence, origin };
    const root = rootWith(folder, ["", "stanford_cars"], "devkit", stanfordCars);
    const classes = classNames(join(root, "devkit", "cars_meta.mat"));
    const test = ["", "devkit"].map((part) => join(root, part, "cars_test_annos_withlabels.mat"));
    const items = [
      ...annotated(join(root, "devkit", "cars_train_annos.mat"), join(root, "cars_train"), "train", classes.length),
      ...annotated(test.find(isFile) ?? (test[0] as string), join(root, "cars_test"), "test", classes.length),
    ];
    return { name, classes, items, licence, origin };
  },
};

function variable(path: string, name: string): MatValue {
  if (!isFile(path)) {
    throw new UserError(
      `${path} is missing: stanford-cars needs ${stanfordCars.layout}, from ${stanfordCars.origin}` +
        (path.includes("withlabels") ? " (the devkit's own test annotations have no labels)" : ""),
    );
  }
  const value = readMat(path).get(name);
  if (value === undefined) throw new UserError(`${path} has no variable ${name}: it is another file, get it again`);
  return value;
}

function classNames(path: string): string[] {
  const names = variable(path, "class_names");
  const texts = names.kind === "cell" ? names.cells.map((cell) => (cell.kind === "text" ? cell.text : "")) : [];
  if (texts.length > 0 && texts.every((text) => text !== "")) return texts;
  throw new UserError(`${path}: class_names is no list of texts: get the file again`);
}

/** A struct for each image: its file and its class, counted from 1. The boxes are not used: images stay whole. */
function annotated(path: string, images: string, split: "train" | "test", classes: number): Item[] {
  const annotations = variable(path, "annotations");
  if (annotations.kind !== "struct") throw new UserError(`${path}: annotations is no array of structs: get it again`);
  const items = annotations.elements.map((fields, i): Item => {
    const [name, one] = [fields.get("fname"), fields.get("class")];
    if (name?.kind !== "text" || one?.kind !== "numbers" || one.numbers.length !== 1) {
      throw new UserError(
        `${path}: annotation ${i + 1} of ${annotations.elements.length} has no fname or no class; ` +
          "are these the test annotations without labels? cars_test_annos_withlabels.mat has them",
      );
    }
    const label = requireLabel((one.numbers[0] ?? 0) - 1, classes, path, `the image ${quoted(name.text)}, less 1,`);
    const source = { kind: "file", path: join(images, name.text) } as const;
    return { id: `${split}/${name.text}`, label, source, ...(split === "test" ? { split } : {}) };
  });
  requireImages(
    images,
    items.map((item) => item.id.slice(split.length + 1)),
    path,
  );
  return items;
}
