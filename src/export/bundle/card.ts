/** The README of a bundle: what it is, what is in it and whose, and how good it was. */
import type { Bundle } from "../../runtime/index.ts";

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
  } = bundle;
  const bytes = (file: string): string => `${((files[file]?.bytes ?? 0) / 1e6).toFixed(2)} MB`;
  const cell = (text: string): string => text.replaceAll(/[|\r\n]+/g, " ");
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
    "",
    `Classes: ${labels.map(cell).join(", ")}.`,
    "",
    "`hub-pathway verify` on this folder compares its answers with those that the run gave.",
    "",
  ].join("\n");
}

function leftOutLine({ minShare, members, accuracy, runAccuracy }: NonNullable<Bundle["leftOut"]>): string {
  const names = members.map(({ name, share }) => `${name} (${percent(share)})`).join(", ");
  return (
    `Left out, since fewer than ${percent(minShare)} of the validation images activate them: ${names}. The run is right on ` +
    `${percent(accuracy)} without them, on ${percent(runAccuracy)} with them.`
  );
}

export const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
