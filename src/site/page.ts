/**
 * A page that labels images, and an example for pages of your own: everything that is about the models is `openInWorker`, `predict`,
 * `fetchAll` and `verify`; the rest is buttons.
 */
import { type AnyBundlePrediction, type BundleModel, openInWorker, type PredictOptions } from "../runtime/index.ts";

/** A bundle of any task. */
type Model = BundleModel<AnyBundlePrediction>;

/** The element of an id that index.html has. */
const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

const [status, drop] = [element("status"), element("drop")];
const [file, slider] = [element<HTMLInputElement>("file"), element<HTMLInputElement>("choice")];
const video = element<HTMLVideoElement>("video");
const [camera, take] = [element<HTMLButtonElement>("camera"), element<HTMLButtonElement>("take")];
const [keep, verify] = [element<HTMLButtonElement>("keep"), element<HTMLButtonElement>("verify")];

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`;
const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;

/** What the slider offers, in words and for `predict`: what the run answers by, then costs that were measured, or numbers of models. */
let choices: (readonly [string, PredictOptions])[] = [];
/** The image whose answer is shown, or is on its way. */
let image: Blob | undefined;
/** Ends the prediction before, when there is a newer one. */
let current = new AbortController();
/** Files that answers needed so far, whether they came over the network or were kept from an earlier visit. */
const used = new Set<string>();

/** The page's files go through the service worker from here on, so that they are there without a network. */
async function keptOffline(): Promise<void> {
  const { serviceWorker } = navigator;
  // There is none on pages that were not opened over https or from localhost.
  if (!serviceWorker || serviceWorker.controller) return;
  const claimed = new Promise((resolve) => serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
  const { active } = await serviceWorker.register("service-worker.js");
  // A page that was reloaded past its service worker is not claimed again.
  if (!active) await claimed;
}

async function start(): Promise<Model> {
  await keptOffline().catch(() => undefined);
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  return openInWorker(worker, new URL("../bundle", import.meta.url).href, { task: "any" });
}

const opened = start();
opened.then(ready, (error: unknown) => say(error));

function ready({ bundle }: Model): void {
  const models = bundle.members.length;
  const costs = bundle.budgets?.map(({ flops, accuracy }) => {
    return [`${(flops / 1e6).toFixed(1)} MFLOPs, ${percent(accuracy)} right`, { flops }] as const;
  });
  choices = [["as exported", {}], ...(costs ?? bundle.members.map((_, i) => [`${i + 1}`, { k: i + 1 }] as const))];
  document.title = bundle.name;
  element("title").textContent = bundle.name;
  const count = bundle.labels.length;
  const what = {
    classification: `One of ${count} classes`,
    "multi-label": `Any of ${count} labels`,
    regression: `Numbers (${count})`,
  };
  element("about").textContent =
    `${what[bundle.task?.kind ?? "classification"]} for each image, by ${bundle.k} of ${models} models. Images stay in this browser.`;
  slider.max = String(choices.length - 1);
  showChoice();
  [keep.disabled, verify.disabled, slider.disabled] = [false, false, models === 1];
  if (!image) status.textContent = "Ready.";
}

function showChoice(): void {
  const [text = ""] = choices[Number(slider.value)] ?? [];
  element("choice-shown").textContent = text;
  slider.setAttribute("aria-valuetext", text);
}

function say(error: unknown): void {
  status.textContent = error instanceof Error ? error.message : String(error);
}

/** Labels an image with the models that the slider allows, and shows the answer. */
async function label(next: Blob): Promise<void> {
  image = next;
  current.abort();
  current = new AbortController();
  const { signal } = current;
  show(next);
  status.textContent = "Looking …";
  try {
    const model = await opened;
    const prediction = await model.predict(next, { ...choices[Number(slider.value)]?.[1], signal });
    if (signal.aborted) return;
    answered(model, prediction);
    status.textContent = "Done.";
  } catch (error) {
    if (signal.aborted) return;
    element("answer").hidden = true;
    say(error);
  }
}

function show(next: Blob): void {
  const shown = element<HTMLImageElement>("shown");
  URL.revokeObjectURL(shown.src);
  shown.src = URL.createObjectURL(next);
  shown.alt = next instanceof File ? next.name : "The image";
  shown.hidden = false;
  element("hint").textContent = "Drop or paste another image here, or choose a file";
}

/** The answer in a line, and what stands below it: probabilities with their bars, or numbers. */
function told(answer: AnyBundlePrediction): [string, (readonly [string, string, number?])[]] {
  if ("values" in answer) {
    const lines = Object.entries(answer.values).map(
      ([name, value]) => [name, String(Number(value.toPrecision(5)))] as const,
    );
    return [lines.map((line) => line.join(" ")).join(", "), lines];
  }
  const lines = answer.top.map((one) => [one.label, percent(one.probability), one.probability] as const);
  if ("labels" in answer) return [answer.labels.map(({ label }) => label).join(", ") || "None of the labels", lines];
  return [`${answer.rejected ? "Not sure: perhaps " : ""}${answer.label}, ${percent(answer.probability)}`, lines];
}

function answered({ bundle }: Model, prediction: AnyBundlePrediction): void {
  const { pathway, bytesFetched, milliseconds } = prediction;
  const [text, lines] = told(prediction);
  element("label").textContent = text;
  element("what").textContent = "values" in prediction ? "Numbers" : "Probabilities";
  rows("classes", lines);
  rows(
    "pathway",
    pathway.map(({ member, weight }) => [member, percent(weight), weight]),
  );
  const files = bundle.members.filter(({ name }) => pathway.some(({ member }) => member === name));
  for (const path of [bundle.router?.file, ...files.map((member) => member.file)]) if (path) used.add(path);
  const bytes = (paths: Iterable<string>) =>
    [...paths].reduce((sum, path) => sum + (bundle.files[path]?.bytes ?? 0), 0);
  const whole = [...bundle.members.map((member) => member.file), ...(bundle.router ? [bundle.router.file] : [])];
  rows("cost", [
    ["Models needed so far", `${megabytes(bytes(used))} of ${megabytes(bytes(whole))}`, bytes(used) / bytes(whole)],
    ["Fetched for this answer", megabytes(bytesFetched)],
    ["Preparing the image", `${milliseconds.prepare.toFixed(0)} ms`],
    ["Fetching models", `${milliseconds.fetch.toFixed(0)} ms`],
    ["Opening models", `${milliseconds.open.toFixed(0)} ms`],
    ["Running them", `${milliseconds.run.toFixed(0)} ms`],
  ]);
  element("answer").hidden = false;
}

/** Rows of a table: what, how much, and the part of a bar behind them. */
function rows(table: string, lines: readonly (readonly [string, string, number?])[]): void {
  const body = document.querySelector<HTMLTableSectionElement>(`#${table} tbody`);
  body?.replaceChildren(
    ...lines.map(([what, value, part]) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = what;
      row.append(head);
      row.insertCell().textContent = value;
      if (part !== undefined) row.className = "bar";
      row.style.setProperty("--part", `${100 * (part ?? 0)}%`);
      return row;
    }),
  );
}

/** The first image among what was dropped or pasted. */
function imageOf(data: DataTransfer | null): File | undefined {
  return Array.from(data?.files ?? []).find(({ type }) => type.startsWith("image/"));
}

function labelFirst(event: Event, data: DataTransfer | null): void {
  event.preventDefault();
  const found = imageOf(data);
  if (found) void label(found);
  else status.textContent = "That is no image.";
}

file.addEventListener("change", () => {
  const [chosen] = file.files ?? [];
  if (chosen) void label(chosen);
});
document.addEventListener("paste", (event) => labelFirst(event, event.clipboardData));
// Elsewhere on the page a browser would open the image in place of the page.
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  drop.classList.remove("over");
  labelFirst(event, event.dataTransfer);
});
drop.addEventListener("dragenter", () => drop.classList.add("over"));
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
slider.addEventListener("input", showChoice);
slider.addEventListener("change", () => {
  if (image) void label(image);
});

camera.addEventListener("click", async () => {
  if (video.srcObject) return stopCamera();
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    await video.play();
    [video.hidden, take.hidden] = [false, false];
    camera.textContent = "Stop the camera";
    take.focus();
  } catch {
    stopCamera();
    status.textContent = "There is no camera, or this page may not use it.";
  }
});
take.addEventListener("click", async () => {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  stopCamera();
  camera.focus();
  await label(await canvas.convertToBlob());
});

function stopCamera(): void {
  if (video.srcObject instanceof MediaStream) for (const track of video.srcObject.getTracks()) track.stop();
  video.srcObject = null;
  [video.hidden, take.hidden] = [true, true];
  camera.textContent = "Use the camera";
}

keep.addEventListener("click", () =>
  during(keep, "Fetching all models …", async (model) => {
    const fetched = await model.fetchAll();
    return `All models are kept; ${megabytes(fetched)} were fetched.`;
  }),
);
verify.addEventListener("click", () =>
  during(verify, "Comparing with the answers of the run …", async (model) => {
    const { images, probabilities } = await model.verify();
    return `${images} images have the run's answers: they differ by ${probabilities.toExponential(1)} at most.`;
  }),
);

async function during(button: HTMLButtonElement, text: string, work: (model: Model) => Promise<string>) {
  button.disabled = true;
  status.textContent = text;
  try {
    status.textContent = await work(await opened);
  } catch (error) {
    say(error);
  } finally {
    button.disabled = false;
  }
}
