/** The README of a bundle: what it is, what is in it and whose, and how good it was. */
import { stringify } from "yaml";
import type { Bundle } from "../../runtime/index.ts";

/** Licences under the names that the Hub has for them. */
const hubLicences =
  /^(apache-2\.0|mit|cc0-1\.0|cc-by-4\.0|cc-by-sa-4\.0|cc-by-nc-4\.0|bsd-[23]-clause|unlicense|mpl-2\.0|gpl-3\.0)$/;

/** What the Hub reads on top of a card, in YAML: one licence where all models have the same. */
export function frontMatter(licences: readonly string[], tags: readonly string[]): string {
  const names = new Set(licences.map((licence) => licence.toLowerCase()));
  const [only = ""] = names;
  const isKnown = names.size === 1 && hubLicences.test(only);
  const licence = isKnown
    ? { license: only }
    : { license: "other", license_name: "of-each-model", license_link: "README.md" };
  const about = { library_name: "hub-pathway", pipeline_tag: "image-classification", ...licence, tags: [...tags] };
  return `---\n${stringify(about)}---\n`;
}

/** The card of weights alone. */
export function weightsCard(name: string, members: readonly Origin[], labels: readonly string[]): string {
  const rows = members.map(
    (one) => `| ${[one.name, one.pretraining, one.licence, one.source].map(cell).join(" | ")} |`,
  );
  return [
    frontMatter(
      members.map(({ licence }) => licence),
      ["hub-pathway", "safetensors", "transfer-learning"],
    ),
    `# ${cell(name)}`,
    "",
    `Weights of ${members.length === 1 ? "a model" : `${members.length} models`} with heads for ${labels.length} classes, under the names of the`,
    "classes that load them, timm's or torchvision's. NAME.json has architecture, input and class names.",
    "",
    "| model | pre-trained on | licence | origin |",
    "|---|---|---|---|",
    ...rows,
    "",
    `Classes: ${labels.map(cell).join(", ")}.`,
    "",
  ].join("\n");
}

type Origin = Pick<Bundle["members"][number], "name" | "pretraining" | "licence" | "source">;

const cell = (text: string): string => text.replaceAll(/[|\r\n]+/g, " ");

/** A model card in Markdown. */
export function modelCard(bundle: Bundle): string {
  const {
    name,
    labels,
    images,
    members,
    router,
    k,
    measured,
    files,
    method,
    gate,
    precision = "float32",
    leftOut,
    calibration,
  } = bundle;
  const bytes = (file: string): string => `${((files[file]?.bytes ?? 0) / 1e6).toFixed(2)} MB`;
  const total = (Object.values(files).reduce((sum, file) => sum + file.bytes, 0) / 1e6).toFixed(2);
  const { validation, test } = measured;
  const figures = [
    ...(validation ? [`- validation: ${percent(validation.accuracy)} of ${validation.items} images`] : []),
    ...(test ? [`- test: ${percent(test.accuracy)}, read on ${test.time}`] : []),
  ];
  const gateLine =
    gate === undefined || "skipped" in gate
      ? `These files were not measured (not gated): ${gate?.skipped ?? "no reason is noted"}.`
      : `These files: ${percent(gate.accuracy)} of ${gate.items} validation images, the run ${percent(gate.runAccuracy)}; ` +
        `${gate.otherLabels} images have another label.`;
  const rows = members.map(({ name: member, file, pretraining, licence, source }) => {
    return `| ${[member, bytes(file), pretraining, licence, source].map(cell).join(" | ")} |`;
  });
  return [
    frontMatter(
      members.map(({ licence }) => licence),
      ["hub-pathway", "onnx", "transfer-learning"],
    ),
    `# ${name}`,
    "",
    `Labels images with one of ${labels.length} classes. Trained by Hub-Pathway (\`${method}\`); nothing but an ONNX runtime is needed.`,
    router
      ? `\`${router.file}\` (${bytes(router.file)}) scores the models for each image, and the ${k} best run on it.`
      : `${members.length === 1 ? "One model runs" : "All models run"} on each image.`,
    "",
    `All files take images as \`images\`: float32 [n, 3, ${images.size}, ${images.size}], red, green and blue from 0 to 1. Resizing to a model's`,
    "own sides and its normalisation are in its file.",
    "",
    `The models' precision is ${precision}; all files together have ${total} MB.`,
    "",
    "| model | size | pre-trained on | licence | origin |",
    "|---|---|---|---|---|",
    ...rows,
    "",
    "Accuracy of the run that it was exported from:",
    "",
    ...(figures.length > 0 ? figures : ["- not in its folder"]),
    "",
    gateLine,
    ...(leftOut ? ["", leftOutLine(leftOut)] : []),
    ...(calibration ? ["", calibrationLine(calibration.temperature)] : []),
    ...rejectionLines(bundle),
    "",
    `Classes: ${labels.map(cell).join(", ")}.`,
    "",
    "`hub-pathway verify` on this folder compares its answers with those that the run gave.",
    "",
  ].join("\n");
}

function calibrationLine(temperature: number): string {
  return (
    `Probabilities are softmax(ln p / ${temperature.toFixed(3)}), where p is what the files give: a temperature fitted on the validation ` +
    "images. The runtime applies it."
  );
}

function rejectionLines({ rejection, gate }: Bundle): string[] {
  if (!rejection) return [];
  const { threshold, coverage, error, errorLimit, items } = rejection;
  const start = `An answer of a probability below ${threshold.toPrecision(4)} is rejected: "I don't know".`;
  if (coverage === undefined || error === undefined || errorLimit === undefined) return ["", start];
  const files =
    gate && "answered" in gate && gate.answered
      ? ` With these files ${percent(gate.answered / gate.items)} are answered, ${percent((gate.wrong ?? 0) / gate.answered)} of the answers wrong.`
      : "";
  return [
    "",
    `${start} On the ${items} validation images, which chose it, the run answers ${percent(coverage)}, and ${percent(error)} of these answers ` +
      `are wrong (at most ${percent(errorLimit)} with 95 % confidence).${files}`,
  ];
}

function leftOutLine({ minShare, members, accuracy, runAccuracy }: NonNullable<Bundle["leftOut"]>): string {
  const names = members.map(({ name, share }) => `${name} (${percent(share)})`).join(", ");
  return (
    `Left out, since fewer than ${percent(minShare)} of the validation images activate them: ${names}. The run is right on ` +
    `${percent(accuracy)} without them, on ${percent(runAccuracy)} with them.`
  );
}

export const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
