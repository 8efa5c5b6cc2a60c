/** The members of hubs/javascript: where each comes from, and how its package prepares images. */
import {
  type FaceNet,
  faceAgeGender,
  faceDetection,
  faceExpression,
  faceLandmarks,
  faceRecognition,
} from "./face-nets.ts";

export interface Recipe {
  name: string;
  /** Side of the images, and mean and standard deviation of values in [0, 1], as the package's own code has them. */
  input: { size: number; mean: [number, number, number]; std: [number, number, number] };
  /** The tensor of the features, where it is not what the classifier reads. */
  features?: string;
  pretraining: { data: string; paradigm: string; quality?: string };
}

/** A model that the package bundles as JavaScript. */
export interface BundledRecipe extends Recipe {
  folder: string;
}

/** A weights file whose network is code in the package. */
export interface FaceRecipe extends Recipe {
  file: string;
  net: FaceNet;
}

/** dist/esm/core.js of nsfwjs: bytes divided by 255. */
const unit = { mean: [0, 0, 0], std: [1, 1, 1] } satisfies Partial<Recipe["input"]>;
const scraped =
  "60 GB of images by nsfw_data_scraper in 5 classes (drawing, hentai, neutral, porn, sexy), after ImageNet";

export const bundled: readonly BundledRecipe[] = [
  {
    name: "nsfwjs-mobilenet-v2",
    folder: "mobilenet_v2",
    input: { size: 224, ...unit },
    features: "flatten_1",
    pretraining: { data: scraped, paradigm: "supervised", quality: "accuracy: about 90 % by its authors" },
  },
  {
    name: "nsfwjs-mobilenet-v2-mid",
    folder: "mobilenet_v2_mid",
    input: { size: 224, ...unit },
    pretraining: { data: scraped, paradigm: "supervised", quality: "accuracy: about 93 % by its authors" },
  },
  {
    name: "nsfwjs-inception-v3",
    folder: "inception_v3",
    input: { size: 299, ...unit },
    features: "flatten_1",
    pretraining: { data: scraped, paradigm: "supervised" },
  },
];

/** src/ops/normalize.ts of face-api: minus VGG's mean in bytes, then divided by 255. */
const centred = {
  mean: [122.782 / 255, 117.001 / 255, 104.298 / 255],
  std: [1, 1, 1],
} satisfies Partial<Recipe["input"]>;

export const faces: readonly FaceRecipe[] = [
  {
    name: "face-recognition-resnet",
    file: "face_recognition_model",
    net: faceRecognition,
    input: { size: 150, ...centred },
    features: "embedding/product",
    pretraining: {
      data: "3 million faces of 7485 people (dlib)",
      paradigm: "metric learning",
      quality: "accuracy on Labeled Faces in the Wild: 99.38 % by its author",
    },
  },
  {
    name: "face-detection-mobilenet-v1",
    file: "ssd_mobilenetv1_model",
    net: faceDetection,
    // src/ssdMobilenetv1/SsdMobilenetv1.ts: from -1 to 1.
    input: { size: 512, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    features: "pooled",
    pretraining: { data: "WIDER FACE", paradigm: "object detection" },
  },
  {
    name: "face-age-gender-xception",
    file: "age_gender_model",
    net: faceAgeGender,
    input: { size: 112, ...centred },
    pretraining: {
      data: "UTK, FGNET, Chalearn, Wiki, IMDB, CACD, MegaAge, MegaAge-Asian",
      paradigm: "regression of age and supervised gender",
      quality: "gender accuracy 95 %, mean age error 4.54 years by its authors",
    },
  },
  {
    name: "face-expression-densenet",
    file: "face_expression_model",
    net: faceExpression,
    input: { size: 112, ...centred },
    pretraining: { data: "public and scraped faces with 7 expressions", paradigm: "supervised" },
  },
  {
    name: "face-landmarks-densenet",
    file: "face_landmark_68_model",
    net: faceLandmarks,
    input: { size: 112, ...centred },
    features: "pooled",
    pretraining: { data: "35 thousand faces with 68 points", paradigm: "regression of positions" },
  },
];
