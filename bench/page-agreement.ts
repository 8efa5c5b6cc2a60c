/**
 * The page of a run in Chromium against `eval`'s own prediction, over files as people have them: JPEG and PNG of many sizes, turned
 * by Exif, with transparent parts. The run is trained for it, on emoji with the starter hub.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Page } from "playwright-core";
import sharp from "sharp";
import { fetchDataset, openDataset } from "../src/data/index.ts";
import { type ImagePrediction, Predictor } from "../src/library/index.ts";
import { answerOf, noBrowser, openBrowser, openPage, type PageAnswer, StaticServer } from "../test/support/site.ts";
import { type Figure, median, ratioFigure } from "./figure.ts";
import { command } from "./server-process.ts";

interface Labelled {
  readonly path: string;
  readonly label: string;
}

interface Seen extends PageAnswer {
  /** Milliseconds of router and models. */
  readonly run: number;
}

/** Figures over so many test files; nothing where there is no Chromium. */
export async function pageAgreement(count: number): Promise<Figure[] | undefined> {
  if (noBrowser) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  try {
    const files = await writeFiles(folder, count);
    const [run, site] = [join(folder, "run"), join(folder, "site")];
    // Models that stay as they are differ most, so that images take more than two of them.
    command("train", join(folder, "images"), "--out", run, "--freeze-members", "--credit", "losses");
    command("export", run, "--web", site);
    using predictor = await Predictor.open(run);
    const expected = await predictor.predict(files.map(({ path }) => path));
    const few = files.slice(0, Math.ceil(count / 5));
    const [shown, all, gpu] = await pageAnswers(site, files, few);
    const overGpu = gpu ? agreement("page over WebGPU", few, gpu, expected) : [];
    return [...agreement("page", files, shown, expected), ...overGpu, cost(shown, all)];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Answers for all files with the run's k, for some of them with all models, and for `few` over WebGPU, which Chromium computes on the
 * processor where there is no graphics card; nothing for these where it has no adapter.
 */
async function pageAnswers(
  site: string,
  files: readonly Labelled[],
  few: readonly Labelled[],
): Promise<[Seen[], Seen[], Seen[] | undefined]> {
  const server = await StaticServer.start(site);
  const browser = await openBrowser();
  const withGpu = await openBrowser({ webGpu: true });
  try {
    const page = await browser.newPage();
    await openPage(page, server.address);
    const shown = await answers(page, files);
    await page.getByRole("slider").focus();
    await page.keyboard.press("End");
    // The first ones open the models.
    const all = (await answers(page, files.slice(0, 60))).slice(10);
    const other = await withGpu.newPage();
    await openPage(other, server.address);
    const adapter = await other.evaluate("navigator.gpu?.requestAdapter().then(Boolean)");
    return [shown, all, adapter ? await answers(other, few) : undefined];
  } finally {
    await browser.close();
    await withGpu.close();
    await server.stop();
  }
}

async function answers(page: Page, files: readonly Labelled[]): Promise<Seen[]> {
  const seen: Seen[] = [];
  for (const { path } of files) seen.push({ ...(await answerOf(page, path)), run: await millisecondsOf(page) });
  return seen;
}

async function millisecondsOf(page: Page): Promise<number> {
  return Number.parseFloat((await page.locator("#cost tr").last().locator("td").textContent()) ?? "");
}

function agreement(
  what: string,
  files: readonly Labelled[],
  shown: readonly Seen[],
  expected: readonly ImagePrediction[],
): Figure[] {
  const share = (holds: (i: number) => boolean): number => files.filter((_, i) => holds(i)).length / files.length;
  const equal = share((i) => shown[i]?.label === expected[i]?.label);
  const own = share((i) => shown[i]?.label === files[i]?.label);
  const measured = share((i) => expected[i]?.label === files[i]?.label);
  const off = files.map((_, i) => Math.abs((shown[i]?.probability ?? 9) - (expected[i]?.probability ?? 0)));
  const models = (names: readonly string[] | undefined): string => [...(names ?? [])].sort().join();
  const routes = share((i) => models(shown[i]?.pathway) === models(expected[i]?.pathway.map(({ member }) => member)));
  return [
    {
      name: `labels of the ${what} as of eval, ${files.length} files`,
      ours: { what: "% equal", value: 100 * equal },
      other: { what: "%", value: 100 },
      ratio: equal,
      goal: "ratio at least 0.995",
      met: equal >= 0.995,
      note: `the same models for ${(100 * routes).toFixed(1)} %; probabilities differ by ${Math.max(...off).toFixed(3)} at most`,
    },
    {
      name: `accuracy of the ${what}`,
      ours: { what: "%", value: 100 * own },
      other: { what: "% of eval", value: 100 * measured },
      ratio: own / measured,
      goal: "0.3 points apart at most",
      met: Math.abs(own - measured) <= 0.003,
    },
  ];
}

/** Router and k models against router and all of them. */
function cost(shown: readonly Seen[], all: readonly Seen[]): Figure {
  const [k, m] = [shown[0]?.pathway.length ?? 1, all[0]?.pathway.length ?? 1];
  return ratioFigure(
    `an image in the page, ${k} of ${m} models`,
    { what: "ms", value: median(shown.slice(10).map(({ run }) => run)) },
    { what: "ms, all models", value: median(all.map(({ run }) => run)) },
    Number(((k / m) * 1.15).toFixed(3)),
  );
}

/** Writes images/train/CLASS and images/test/CLASS; returns the test files. */
async function writeFiles(folder: string, count: number): Promise<Labelled[]> {
  await fetchDataset("emoji");
  const { items, classes } = await openDataset("emoji");
  const chance = randomNumbers(1);
  const order = items.map((item) => ({ item, at: chance() })).sort((a, b) => a.at - b.at);
  const files: Labelled[] = [];
  for (const [i, { item }] of order.entries()) {
    if (!("path" in item.source)) continue;
    const label = (classes[item.label] ?? "").replaceAll(/[^\w]+/g, "-");
    const place = join(folder, "images", i < count ? "test" : "train", label);
    mkdirSync(place, { recursive: true });
    const path = await writeVariant(item.source.path, join(place, basename(item.source.path, ".png")), i, chance);
    if (i < count) files.push({ path, label });
  }
  return files;
}

/** One of four kinds of files in turn, of a size between 60 and 900 pixels. */
async function writeVariant(from: string, to: string, kind: number, chance: () => number): Promise<string> {
  const width = Math.round(60 * 15 ** chance());
  const height = Math.round(width * (0.6 + 0.8 * chance()));
  const drawing = await sharp(from)
    .resize(width, height, { fit: "contain", background: { r: 0, g: 0, b: 0, alpha: 0 } })
    .png()
    .toBuffer();
  if (kind % 4 === 0) {
    await sharp(drawing).toFile(`${to}.png`);
    return `${to}.png`;
  }
  const background = { r: 255 * chance(), g: 255 * chance(), b: 255 * chance() };
  const noise = { type: "gaussian", mean: 128, sigma: 20 } as const;
  const grain = await sharp({ create: { width, height, channels: 3, background, noise } })
    .png()
    .toBuffer();
  const photo = sharp({ create: { width, height, channels: 3, background } })
    .composite([{ input: grain, blend: "soft-light" }, { input: drawing }])
    .removeAlpha();
  if (kind % 4 === 1) {
    await photo.png().toFile(`${to}.png`);
    return `${to}.png`;
  }
  // Only the tag is turned, so that both sides have to see it: the picture lies on its side.
  const orientation = kind % 4 === 2 ? 1 : 1 + Math.floor(8 * chance());
  const quality = Math.round(60 + 38 * chance());
  await photo.jpeg({ quality }).withMetadata({ orientation }).toFile(`${to}.jpg`);
  return `${to}.jpg`;
}

/** Numbers from 0 to 1, the same each time. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
