/** The page that `export --web` writes, in Chromium: the run's answers, only the models that an image needs, for everyone's hands and eyes. */
// Alone: it has a browser beside it.
// Long: every way to the page's answers is gone in a browser.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import sharp from "sharp";
import { type ImagePrediction, Predictor } from "../../src/library/index.ts";
import { type Bundle, filesToRun } from "../../src/runtime/index.ts";
import { runHere } from "../support/program.ts";
import { answerOf, noBrowser, openBrowser, openPage, StaticServer, shownAnswer } from "../support/site.ts";
import { trainedRun, writeSmallTask } from "../support/small-bundle.ts";
import { temporaryFolder } from "../support/small-hub.ts";

const skip = noBrowser ?? false;
let folder: string;
let bundle: Bundle;
let server: StaticServer;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let predictor: Predictor;
const problems: string[] = [];

before(async () => {
  if (skip) return;
  folder = temporaryFolder();
  await writeSmallTask(folder);
  await trainedRun(folder, "run", ({ options }) => ({ options: { ...options, epochs: 8 } }));
  const exported = await runHere(["export", join(folder, "run"), "--web", join(folder, "site")], folder);
  assert.equal(exported.code, 0, exported.stderr);
  assert.match(exported.stdout, /site has 2 models and a router/);
  bundle = JSON.parse(readFileSync(join(folder, "site/bundle/bundle.json"), "utf8")) as Bundle;
  predictor = await Predictor.open(join(folder, "run"));
  server = await StaticServer.start(join(folder, "site"));
  browser = await openBrowser();
  context = await browser.newContext();
  context.setDefaultTimeout(120_000);
  page = await context.newPage();
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  await openPage(page, server.address);
});
after(async () => {
  if (skip) return;
  await browser.close();
  await server.stop();
  predictor.dispose();
});

const image = (name: string): string => join(folder, "images", name);
const requestedModels = (): string[] =>
  server.requested.filter((path) => path.endsWith(".onnx")).map((path) => path.replace("/bundle/", ""));

async function assertAnswer(shown: Awaited<ReturnType<typeof shownAnswer>>, expected: ImagePrediction): Promise<void> {
  assert.equal(shown.label, expected.label);
  assert.ok(Math.abs(shown.probability - expected.probability) < 0.02, `${shown.probability} ${expected.probability}`);
  assert.deepEqual(shown.pathway.toSorted(), expected.pathway.map(({ member }) => member).sort());
}

test("only the models that an image activates are requested", { skip }, async () => {
  assert.deepEqual(requestedModels(), []);
  const slider = page.getByRole("slider", { name: /^Models or cost for each image/ });
  await slider.focus();
  await page.keyboard.press("ArrowRight");
  const file = image("circle/1.png");
  const one = await answerOf(page, file);
  await assertAnswer(one, await predictor.predict(file, { k: 1 }));
  const [member] = bundle.members.filter(({ name }) => name === one.pathway[0]);
  assert.deepEqual(requestedModels(), ["router.onnx", member?.file]);
  await slider.focus();
  await page.keyboard.press("ArrowRight");
  await page.locator("#pathway tr").nth(1).waitFor();
  await assertAnswer(await shownAnswer(page), await predictor.predict(file));
  assert.deepEqual(requestedModels().toSorted(), filesToRun(bundle).sort());
  assert.match((await page.locator("#cost").textContent()) ?? "", /Models needed so far0\.\d\d MB of 0\.\d\d MB/);
});

test("JPEG and PNG files, turned by Exif and with alpha, have the run's answers", { skip }, async () => {
  const files: string[] = [];
  for (const [i, shape] of ["circle", "square", "stripe", "square"].entries()) {
    const large = sharp(image(`${shape}/${i + 1}.png`)).resize(200 + 37 * i, 150 + 61 * i, { fit: "fill" });
    const orientation = [1, 3, 6, 8][i] ?? 1;
    const transparent = large.clone().ensureAlpha(0.5).png();
    files.push(join(folder, `${i}.jpg`), join(folder, `${i}.png`));
    await large
      .clone()
      .withMetadata({ orientation })
      .jpeg({ quality: 85 })
      .toFile(join(folder, `${i}.jpg`));
    await transparent.toFile(join(folder, `${i}.png`));
  }
  const expected = await predictor.predict(files);
  for (const [i, file] of files.entries()) {
    await assertAnswer(await answerOf(page, file), expected[i] as ImagePrediction);
  }
});

test("dropped, pasted and photographed images are labelled, and what is no image is refused", { skip }, async () => {
  const bytes = readFileSync(image("stripe/3.png")).toString("base64");
  for (const [kind, event] of [
    ["drop", 'new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })'],
    ["paste", 'new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })'],
  ]) {
    await answerOf(page, image("circle/2.png"));
    await page.evaluate(`{
      const bytes = Uint8Array.from(atob("${bytes}"), (letter) => letter.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], "${kind}.png", { type: "image/png" }));
      document.getElementById("drop").dispatchEvent(${event});
    }`);
    await page.getByAltText(`${kind}.png`).waitFor();
    await assertAnswer(await shownAnswer(page), await predictor.predict(image("stripe/3.png")));
  }
  await page.getByRole("button", { name: "Use the camera" }).click();
  await page.getByRole("button", { name: "Take the picture" }).click();
  await page.getByAltText("The image").waitFor();
  assert.ok(bundle.labels.includes((await shownAnswer(page)).label));
  assert.ok(await page.getByRole("button", { name: "Use the camera" }).isVisible());
  const text = join(folder, "text.png");
  writeFileSync(text, "no image");
  await page.getByLabel(/choose a file/).setInputFiles(text);
  await page.getByRole("status").getByText("the file is no image that this browser reads").waitFor();
  assert.ok(await page.locator("#answer").isHidden());
});

async function assertStoredAnswers(shown: Page): Promise<void> {
  await shown.getByRole("button", { name: "Check the answers" }).click();
  const status = shown.getByRole("status").getByText("16 images have the run's answers");
  await status.waitFor();
  const [, difference] = /differ by ([\d.e+-]+) at most/.exec((await status.textContent()) ?? "") ?? [];
  assert.ok(Number(difference) < 1e-3, difference);
}

test("stored tensors have the run's answers", { skip }, () => assertStoredAnswers(page));

test("WebGPU has the same answers", { skip }, async (t) => {
  const withGpu = await openBrowser({ webGpu: true });
  t.after(() => withGpu.close());
  const other = await withGpu.newPage();
  other.setDefaultTimeout(120_000);
  await openPage(other, server.address);
  if (!(await other.evaluate("navigator.gpu?.requestAdapter().then(Boolean)"))) return t.skip("no adapter");
  await assertStoredAnswers(other);
  const file = image("square/3.png");
  await assertAnswer(await answerOf(other, file), await predictor.predict(file));
  assert.ok(server.requested.includes("/ort/ort.webgpu.min.mjs"));
});

test("it can be used by keyboard, by ear and on small screens, light and dark", { skip }, async () => {
  await answerOf(page, image("circle/1.png"));
  const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
  await page.addScriptTag({ path: axe });
  for (const width of [360, 1440]) {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      const found = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>(
        "axe.run(document)",
      );
      const named = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
      assert.deepEqual(named, [], `${width} px, ${colorScheme}`);
      const beyond = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
      assert.ok(beyond <= 0, `${beyond} px beyond ${width}`);
    }
  }
  await page.getByLabel(/choose a file/).focus();
  const reached: string[] = [];
  for (let i = 0; i < 4; i++) {
    await page.keyboard.press("Tab");
    reached.push(await page.evaluate<string>("document.activeElement.id"));
  }
  assert.deepEqual(reached, ["camera", "choice", "keep", "verify"]);
});

test("where costs were measured, the slider chooses among them", { skip }, async () => {
  const path = join(folder, "site/bundle/bundle.json");
  const manifest = readFileSync(path);
  const budgets = [{ k: 1, price: 0, accuracy: 0.625, flops: 3_210_000 }];
  writeFileSync(path, JSON.stringify({ ...bundle, budgets }));
  const other = await context.newPage();
  await openPage(other, server.address);
  const slider = other.getByRole("slider", { name: /^Models or cost for each image/ });
  const file = image("circle/1.png");
  await assertAnswer(await answerOf(other, file), await predictor.predict(file));
  await slider.focus();
  await other.keyboard.press("ArrowRight");
  await other.locator("#pathway tr").nth(1).waitFor({ state: "detached" });
  assert.equal(await other.locator("#choice").getAttribute("aria-valuetext"), "3.2 MFLOPs, 62.5 % right");
  await assertAnswer(await shownAnswer(other), await predictor.predict(file, { k: 1 }));
  await other.close();
  writeFileSync(path, manifest);
});

test("it answers without a network after the first visit", { skip }, async () => {
  await page.getByRole("button", { name: "Keep all models" }).click();
  await page.getByText(/All models are kept; 0\.00 MB were fetched/).waitFor();
  await page.close();
  await server.stop();
  page = await context.newPage();
  await openPage(page, server.address);
  await assertAnswer(await answerOf(page, image("square/1.png")), await predictor.predict(image("square/1.png")));
  assert.match((await page.locator("#cost").textContent()) ?? "", /Fetched for this answer0\.00 MB/);
});

test("nothing went wrong on the way", { skip }, () => {
  assert.deepEqual(problems, []);
});

test("a folder that exists is refused, and nothing to write", { skip }, async () => {
  const run = join(folder, "run");
  const again = await runHere(["export", run, "--web", join(folder, "site")], folder);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /site exists already: give another --web folder/);
  const nothing = await runHere(["export", run], folder);
  assert.equal(nothing.code, 2);
  assert.match(nothing.stderr, /--out FOLDER for a bundle, --web FOLDER for a page/);
  assert.ok(!existsSync(join(folder, "none")));
});
