/** A finished run as a bundle: files that answer without this program. */
import fs from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import {
  explainWrite,
  hashFile,
  readJsonFile,
  readJsonLines,
  requireWritableFolder,
  temporaryPath,
  writeFileAtomic,
} from "../../io/index.ts";
import { type Bundle, bundleVersion, manifestName } from "../../runtime/index.ts";
import { UserError } from "../../torch/index.ts";
import type { OpenedRun } from "../../train/index.ts";
import { exportMember, exportRouter, type Sides } from "../parts.ts";
import { modelCard } from "./card.ts";
import { type BundleMember, type BundleParts, partsOf } from "./parts.ts";
import { selfTestFile, selfTestImages, writeSelfTest } from "./self-test.ts";

const routerFile = "router.onnx";
const cardFile = "README.md";

/**
 * Writes a run's bundle into a new folder, which appears complete or not at all.
 * @throws UserError when the folder exists or cannot be written, or the run cannot be exported
 */
export function writeBundle(run: OpenedRun, out: string): Bundle {
  const target = resolve(out);
  if (fs.existsSync(target)) throw new UserError(`${out} exists already: give another --out folder`);
  const parts = partsOf(run.predictor, run.folder.path);
  requireWritableFolder(dirname(target));
  const made = fs.mkdirSync(dirname(target), { recursive: true });
  const temporary = temporaryPath(dirname(target), basename(target));
  try {
    const bundle = fill(temporary, run, parts, basename(target));
    fs.renameSync(temporary, target);
    return bundle;
  } catch (error) {
    fs.rmSync(temporary, { recursive: true, force: true });
    if (made !== undefined) fs.rmSync(made, { recursive: true, force: true });
    throw explainWrite(error, out);
  }
}

function fill(folder: string, run: OpenedRun, parts: BundleParts, name: string): Bundle {
  const { config, predictor } = run;
  const { imageSize: size } = config.data.form;
  const sides: Sides = [size, size];
  const files: Bundle["files"] = {};
  const placed = (file: string, write: (path: string) => void): void => {
    const path = join(folder, file);
    fs.mkdirSync(dirname(path), { recursive: true });
    write(path);
    files[file] = { bytes: fs.statSync(path).size, sha256: hashFile(path) };
  };
  const { router } = parts;
  if (router) placed(routerFile, (path) => fs.writeFileSync(path, exportRouter(router, sides)));
  for (const { member, layers } of parts.members) {
    placed(fileOf(member.name), (path) => fs.writeFileSync(path, exportMember(member, sides, layers)));
  }
  placed(selfTestFile, (path) => writeSelfTest(path, predictor, size, parts.k));
  const described: Bundle = {
    version: bundleVersion,
    name,
    method: config.method,
    labels: [...config.classes],
    images: { size, range: [0, 1] },
    ...(router ? { router: { file: routerFile, scores: parts.scores } } : {}),
    k: parts.k,
    aggregation: "weighted-logits",
    weights: parts.weights,
    members: parts.members.map(entryOf),
    measured: measuredOf(run),
    selfTest: { file: selfTestFile, images: selfTestImages },
    files,
  };
  placed(cardFile, (path) => fs.writeFileSync(path, modelCard(described)));
  writeFileAtomic(join(folder, manifestName), `${JSON.stringify(described, null, 2)}\n`);
  return described;
}

const fileOf = (member: string): string => `members/${member}.onnx`;

function entryOf({ member, index }: BundleMember): Bundle["members"][number] {
  const { entry, name, featureWidth } = member;
  const { size, sides = [size, size], mean, std, interpolation, channelOrder } = entry.input;
  return {
    name,
    file: fileOf(name),
    index,
    featureWidth,
    preprocessing: { sides, mean, std, interpolation, channelOrder },
    licence: entry.licence,
    source: entry.source,
    pretraining: entry.pretraining.data,
  };
}

const resultSchema = z.looseObject({ validation: z.looseObject({ accuracy: z.number(), items: z.int() }) });
const readingSchema = z.looseObject({ accuracy: z.number(), time: z.string(), tenCrop: z.boolean().optional() });

/** What the run's folder says about its accuracy; nothing where its files are gone. */
function measuredOf({ folder }: OpenedRun): Bundle["measured"] {
  const [result, ledger] = [folder.file("result.json"), folder.file("ledger.jsonl")];
  const validation = fs.existsSync(result)
    ? readJsonFile(result, resultSchema, "the result of a run").validation
    : undefined;
  // Of ten crops it is another procedure's accuracy, which the bundle's answers do not have.
  const test = readJsonLines(ledger, readingSchema).findLast(({ tenCrop }) => tenCrop !== true);
  return {
    ...(validation ? { validation: { accuracy: validation.accuracy, items: validation.items } } : {}),
    ...(test ? { test: { accuracy: test.accuracy, time: test.time } } : {}),
  };
}
