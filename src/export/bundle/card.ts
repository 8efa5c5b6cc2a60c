/** The README of a bundle: what it is, what is in it and whose, and how good it was. */
import { stringify } from "yaml";
import type { AnswerTask, Bundle } from "../../runtime/index.ts";
import { outputsText, scoreText } from "../../train/index.ts";

/** Licences under the names that the Hub has for them. */
const hubLicences =
  /^(apache-2\.0|mit|cc0-1\.0|cc-by-4\.0|cc-by-sa-4\.0|cc-by-nc-4\.0|bsd-[23]-clause|unlicense|mpl-2\.0|gpl-3\.0)$/;

/** What the Hub reads on top of a card, in YAML: one licence where all models have the same. */
export function frontMatter(licences: readonly string[], tags: readonly string[], task: AnswerTask): string {
  const names = new Set(licences.map((licence) => licence.toLowerCase()));
  const [only = ""] = names;
  const isKnown = names.size === 1 && hubLicences.test(only);
  const licence = isKnown
    ? { license: only }
    : { license: "other", license_name: "of-each-model", license_link: "README.md" };
  // The Hub has no name for numbers that are told from images.
  const pipeline = task?.kind === "regression" ? {} : { pipeline_tag: "image-classification" };
  const about = { library_name: "hub-pathway", ...pipeline, ...licence, tags: [...tags] };
  return `---\n${stringify(about)}---\n`;
}

/** The card of weights alone. */
export function weightsCard(
  name: string,
  members: readonly Origin[],
  labels: readonly string[],
  task: AnswerTask,
): string {
  const rows = members.map(
    (one) => `| ${[one.name, one.pretraining, one.licence, one.source].map(cell).join(" | ")} |`,
  );
  return [
    frontMatter(
      members.map(({ licence }) => licence),
      ["hub-pathway", "safetensors", "transfer-learning"],
      task,
    ),
    `# ${cell(name)}`,
    "",
    `Weights of ${members.length === 1 ? "a model" : `${members.length} models`} with heads for ${outputsText(task?.kind, labels.length)}, under the names of the`,
    "classes that load them, timm's or torchvision's. NAME.json has architecture, input and class names.",
    "",
    "| model | pre-trained on | licence | origin |",
    "|---|---|---|---|",
    ...rows,
    "",
    labelsLine(labels, task),
    "",
  ].join("\n");
}

type Origin = Pick<Bundle["members"][number], "name" | "pretraining" | "licence" | "source">;

/** Names of the answers, with the threshold of each label. */
function labelsLine(labels: readonly string[], task: AnswerTask): string {
  if (task?.kind === "regression") return `Numbers, each in the unit of its column: ${labels.map(cell).join(", ")}.`;
  if (!task) return `Classes: ${labels.map(cell).join(", ")}.`;
  const named = labels.map((label, c) => `${cell(label)} (${(task.thresholds[c] ?? 0).toFixed(3)})`);
  return `Labels, and the probability from which on an image has them: ${named.join(", ")}.`;
}

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
    precision = "float32",
    leftOut,
    calibration,
    task,
  } = bundle;
  const bytes = (file: string): string => `${((files[file]?.bytes ?? 0) / 1e6).toFixed(2)} MB`;
  const total = (Object.values(files).reduce((sum, file) => sum + file.bytes, 0) / 1e6).toFixed(2);
  const { validation, test } = measured;
  const text = (figure: NonNullable<typeof validation>): string =>
    "score" in figure ? scoreText(task?.kind, figure.score) : percent(figure.accuracy);
  const figures = [
    ...(validation ? [`- validation: ${text(validation)} ${task ? "on" : "of"} ${validation.items} images`] : []),
    ...(test ? [`- test: ${text(test)}, read on ${test.time}`] : []),
  ];
  const rows = members.map(({ name: member, file, pretraining, licence, source }) => {
    return `| ${[member, bytes(file), pretraining, licence, source].map(cell).join(" | ")} |`;
  });
  return [
    frontMatter(
      members.map(({ licence }) => licence),
      ["hub-pathway", "onnx", "transfer-learning"],
      task,
    ),
    `# ${name}`,
    "",
    `${purpose(task, labels.length)} Trained by Hub-Pathway (\`${method}\`); nothing but an ONNX runtime is needed.`,
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
    `${task ? "Figures" : "Accuracy"} of the run that it was exported from:`,
    "",
    ...(figures.length > 0 ? figures : ["- not in its folder"]),
    "",
    gateLine(bundle),
    ...(leftOut ? ["", leftOutLine(leftOut, task)] : []),
    ...(calibration ? ["", calibrationLine(calibration.temperature)] : []),
    ...rejectionLines(bundle),
    "",
    labelsLine(labels, task),
    "",
    "`hub-pathway verify` on this folder compares its answers with those that the run gave.",
    "",
  ].join("\n");
}

function purpose(task: AnswerTask, count: number): string {
  const outputs = outputsText(task?.kind, count);
  if (!task) return `Labels images with one of ${outputs}.`;
  return task.kind === "regression"
    ? `Tells ${outputs} of an image.`
    : `Says which of ${outputs} an image has; any number of them.`;
}

function gateLine({ gate, task }: Bundle): string {
  if (gate === undefined || "skipped" in gate)
    return `These files were not measured (not gated): ${gate?.skipped ?? "no reason is noted"}.`;
  if ("score" in gate) {
    return (
      `These files: ${scoreText(task?.kind, gate.score)} on ${gate.items} validation images, the run ` +
      `${scoreText(task?.kind, gate.runScore)}; ${gate.otherAnswers} images have another answer${differenceText(gate, task)}.`
    );
  }
  return (
    `These files: ${percent(gate.accuracy)} of ${gate.items} validation images, the run ${percent(gate.runAccuracy)}; ` +
    `${gate.otherLabels} images have another label.`
  );
}

/** ", 1.2 % of the labels are told otherwise" beside changed answers; nothing where there are none. */
export function differenceText(
  { otherAnswers, difference }: { otherAnswers: number; difference?: number | undefined },
  task: Bundle["task"],
): string {
  if (otherAnswers === 0 || difference === undefined) return "";
  return task?.kind === "regression"
    ? `, numbers are off by ${difference.toPrecision(2)} deviations on average`
    : `, ${(100 * difference).toPrecision(2)} % of the labels are told otherwise`;
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

function leftOutLine({ minShare, members, ...figures }: NonNullable<Bundle["leftOut"]>, task: AnswerTask): string {
  const names = members.map(({ name, share }) => `${name} (${percent(share)})`).join(", ");
  const start = `Left out, since fewer than ${percent(minShare)} of the validation images activate them: ${names}.`;
  if ("score" in figures)
    return `${start} Without them it is ${scoreText(task?.kind, figures.score)}, with them ${scoreText(task?.kind, figures.runScore)}.`;
  return `${start} The run is right on ${percent(figures.accuracy)} without them, on ${percent(figures.runAccuracy)} with them.`;
}

export const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
