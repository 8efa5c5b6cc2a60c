/** EuroSAT (Helber et al. 2019) in its RGB form: satellite images in a folder for each class. It has no published split. */
import { imageFolder } from "../image-folder.ts";
import type { Dataset, PublishedDataset } from "../types.ts";
import { rootWith } from "./files.ts";

export const euroSat: PublishedDataset = {
  name: "eurosat",
  summary:
    "27,000 satellite images, 64 px, 10 kinds of land use; without a published split: the seed draws the test part",
  licence: "MIT",
  origin: "https://github.com/phelber/EuroSAT",
  layout: "2750/ or EuroSAT_RGB/ with a folder for each class, or one of these itself",
  async open(folder): Promise<Dataset> {
    const { name, licence, origin } = euroSat;
    const root = rootWith(folder, ["2750", "EuroSAT_RGB", "EuroSAT/2750", ""], "Forest", euroSat);
    return { ...imageFolder(root), name, licence, origin };
  },
};
