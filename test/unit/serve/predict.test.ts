/** Answers over HTTP are those of the library, whichever way the image comes, for runs and for bundles. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type ImagePrediction, Predictor } from "../../../src/library/index.ts";
import type { PredictAnswer, RunningServer, ServedPrediction } from "../../../src/serve/index.ts";
import { type ServedPlace, send, served, servedPlace } from "../../support/served.ts";

let place: ServedPlace;
let server: RunningServer;

before(async () => {
  place = await servedPlace();
  server = await served([place.routed, place.bundle, place.single], { rejectBelow: 1 });
});

after(() => server.close());

async function answer(response: Promise<Response>): Promise<PredictAnswer> {
  const got = await response;
  assert.equal(got.status, 200, await got.clone().text());
  return (await got.json()) as PredictAnswer;
}

async function predicted(query: string, photo = place.photo): Promise<ServedPrediction> {
  const [first] = (await answer(send(server, photo, query))).predictions;
  assert.ok(first && "label" in first);
  return first;
}

const numbers = ({ top, pathway }: ImagePrediction): number[] => [
  ...top.map((one) => one.probability),
  ...pathway.map((one) => one.weight),
];

/** Asserts the same labels and members in the same order, and the same numbers but for rounding. */
function assertSame(actual: ServedPrediction, expected: ImagePrediction): void {
  const names = ({ top, pathway }: ImagePrediction) => [
    ...top.map(({ label }) => label),
    ...pathway.map(({ member }) => member),
  ];
  assert.deepEqual(names(actual), names(expected));
  for (const [i, value] of numbers(actual).entries()) {
    assert.ok(Math.abs(value - (numbers(expected)[i] ?? 0)) < 1e-5, `${value}`);
  }
}

test("a run and its bundle answer as the library does, with the run's own k and another", async () => {
  using predictor = await Predictor.open(place.routed);
  for (const photo of ["circle/1.png", "stripe/5.png"].map((name) => join(place.images, name))) {
    const [expected, cheap] = [
      await predictor.predict(photo, { top: 3 }),
      await predictor.predict(photo, { top: 3, k: 1 }),
    ];
    assertSame(await predicted("?top=3", photo), expected);
    assertSame(await predicted("?top=3&model=bundle", photo), expected);
    assertSame(await predicted("?top=3&k=1", photo), cheap);
    assertSame(await predicted("?top=3&k=1&model=bundle", photo), cheap);
    assertSame(await predicted("?top=3&flops=1e12", photo), expected);
  }
  using single = await Predictor.open(place.single);
  assertSame(await predicted("?top=3&model=single"), await single.predict(place.photo, { top: 3 }));
});

test("multipart and JSON bring one image or several, and a bad one fails alone", async () => {
  const photos = ["circle/1.png", "square/3.png"].map((name) => readFileSync(join(place.images, name)));
  const alone = await Promise.all(
    ["circle/1.png", "square/3.png"].map((name) => predicted("", join(place.images, name))),
  );
  const form = new FormData();
  for (const photo of photos) form.append("images", new Blob([new Uint8Array(photo)]), "one.png");
  form.append("bad", new Blob(["no image"]), "bad.png");
  const json = { images: [...photos, Buffer.from("no image")].map((bytes) => bytes.toString("base64")) };
  const sent = [
    { body: form, headers: {} },
    { body: JSON.stringify(json), headers: { "content-type": "application/json" } },
  ];
  for (const [i, init] of sent.entries()) {
    const { model, predictions } = await answer(fetch(`${server.url}/predict`, { method: "POST", ...init }));
    assert.equal(model, "routed");
    const [first, second, bad] = predictions;
    for (const [j, one] of [first, second].entries()) {
      assert.ok(one && "label" in one);
      assertSame(one, alone[j] as ServedPrediction);
    }
    assert.ok(bad && "problem" in bad);
    assert.equal(bad.problem.field, ["bad", "images[2]"][i]);
    assert.match(bad.problem.detail, /cannot be used: /);
  }
  const image = JSON.stringify({ image: photos[0]?.toString("base64") });
  const one = fetch(`${server.url}/predict`, {
    method: "POST",
    body: image,
    headers: { "content-type": "application/json" },
  });
  assertSame((await answer(one)).predictions[0] as ServedPrediction, alone[0] as ServedPrediction);
});

test("explain gives scores, opinions and agreement; what is not sure is rejected", async () => {
  for (const model of ["routed", "bundle"]) {
    const { explanation, pathway, label, rejected, degraded } = await predicted(`?explain=1&model=${model}`);
    assert.ok(explanation);
    assert.deepEqual([rejected, degraded], [true, undefined]);
    assert.equal(Object.keys(explanation.scores).length, 3);
    const members = explanation.opinions.map(({ member, weight }) => ({ member, weight }));
    assert.deepEqual(members, pathway);
    const agreeing = explanation.opinions.filter(({ top }) => top[0]?.label === label);
    const agreement = agreeing.reduce((sum, { weight }) => sum + weight, 0);
    assert.ok(Math.abs(explanation.agreement - agreement) < 1e-6);
    // What a member answers alone is what a route through it alone answers.
    const { pathway: [only] = [], ...cheap } = await predicted(`?k=1&top=3&explain=1&model=${model}`);
    const own = explanation.opinions.find(({ member }) => member === only?.member);
    assert.deepEqual(
      own?.top.map(({ label }) => label),
      cheap.top.map(({ label }) => label),
    );
    assert.ok(Math.abs((own?.top[0]?.probability ?? 0) - cheap.probability) < 1e-5);
  }
  assert.equal((await predicted("")).explanation, undefined);
});

test("requests at the same time share batches, and each gets its own answer", async () => {
  const names = Array.from({ length: 24 }, (_, i) => `${["circle", "square", "stripe"][i % 3]}/${i % 8}.png`);
  const alone = new Map<string, ServedPrediction>();
  for (const name of new Set(names)) alone.set(name, await predicted("?top=3", join(place.images, name)));
  // A machine may be so busy that requests come one by one: sooner or later some share a batch.
  let [batches, images] = [0, 0];
  for (let round = 0; batches === images && round < 20; round++) {
    const together = await Promise.all(names.map((name) => predicted("?top=3", join(place.images, name))));
    for (const [i, name] of names.entries())
      assertSame(together[i] as ServedPrediction, alone.get(name) as ServedPrediction);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    const value = (of: string) => {
      return Number(new RegExp(`^hub_pathway_batch_size_${of}\\{model="routed"\\} (\\d+)$`, "m").exec(metrics)?.[1]);
    };
    [batches, images] = [value("count"), value("sum")];
  }
  assert.ok(batches < images, `${batches} batches of ${images} images`);
});
