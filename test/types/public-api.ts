/**
 * The types of the public calls, held by the compiler: nothing here runs. In a checkout the names lead to src; the check of the
 * packed package (scripts/checks/package.mjs) compiles this file against what a user installs.
 */
import {
  type ClassProbability,
  type decodeImage,
  type Hub,
  type HubMember,
  type HubPathway,
  type ImagePrediction,
  type imageFolder,
  type loadMembers,
  type openHub,
  type PathwayMember,
  type PredictionOutcome,
  Predictor,
  type TrainedRun,
  train,
} from "hub-pathway";
import { connect, type ServedPrediction } from "hub-pathway/client";
import { type Experiment, meanInterval, type Plan } from "hub-pathway/compare";
import { type Dataset, Loader } from "hub-pathway/data";
import { exportOnnx } from "hub-pathway/export";
import { GraphModel, openOnnx, type TorchScriptModel } from "hub-pathway/graphs";
import type { AddedMember, addMember, ImageInput, ObservationInput } from "hub-pathway/hub";
import type { findMethod, fineTune, MemberLearner } from "hub-pathway/methods";
import type { Backbone, createBackbone, ResNet } from "hub-pathway/models";
import { type crossEntropy, Linear, type Module } from "hub-pathway/nn";
import { AdamW, clipGradNorm, type Optimizer } from "hub-pathway/optim";
import type { klExploration, PathwayConfig, PathwayOutput, Routing } from "hub-pathway/pathway";
import type { AgentOutcome, makeEnvironment, trainAgent, VectorEnvironment } from "hub-pathway/rl";
import { type BundleModel, type BundlePrediction, type OpenOptions, openBundle } from "hub-pathway/runtime";
import { type RunningServer, serve } from "hub-pathway/serve";
import { noGrad, type ops, scope, type Tensor, tensor } from "hub-pathway/torch";
import type { Method, MethodContext, RunEvent, trainRun } from "hub-pathway/train";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Holds<Case extends true> = Case;

/** Types that calls return. */
export type Results = [
  Holds<Same<Awaited<ReturnType<typeof train>>, TrainedRun>>,
  Holds<Same<Awaited<ReturnType<typeof Predictor.open>>, Predictor>>,
  Holds<Same<ReturnType<typeof openHub<"image">>, Hub>>,
  Holds<Same<ReturnType<typeof openHub<"observation">>, Hub<ObservationInput>>>,
  Holds<Same<ReturnType<typeof loadMembers<ImageInput>>, HubMember[]>>,
  Holds<Same<Awaited<ReturnType<typeof imageFolder>>, Dataset>>,
  Holds<Same<Awaited<ReturnType<typeof decodeImage>>, Uint8Array>>,
  Holds<Same<Awaited<ReturnType<typeof addMember>>, AddedMember>>,
  Holds<Same<ReturnType<typeof findMethod>, Method>>,
  Holds<Same<ReturnType<typeof createBackbone>, Backbone>>,
  Holds<Same<ReturnType<typeof crossEntropy>, Tensor>>,
  Holds<Same<ReturnType<HubPathway["route"]>, Routing>>,
  Holds<Same<ReturnType<HubPathway["execute"]>, PathwayOutput>>,
  Holds<Same<ReturnType<typeof klExploration>, Tensor>>,
  Holds<Same<Awaited<ReturnType<typeof makeEnvironment>>, VectorEnvironment>>,
  Holds<Same<Awaited<ReturnType<typeof trainAgent>>, AgentOutcome>>,
  Holds<Same<ReturnType<typeof ops.softmax>, Tensor>>,
  Holds<Same<ReturnType<Tensor["topk"]>, [Tensor, Tensor]>>,
  Holds<Same<ImagePrediction["top"], ClassProbability[]>>,
  Holds<Same<Experiment["name"], string>>,
  Holds<Same<PathwayConfig["k"], number>>,
];

/** Types that extend others or may stand for them. */
export type Relations = [
  Holds<HubMember extends PathwayMember ? true : false>,
  Holds<HubPathway extends Module ? true : false>,
  Holds<ResNet extends Backbone ? true : false>,
  Holds<TorchScriptModel extends GraphModel ? true : false>,
  Holds<AdamW extends Optimizer ? true : false>,
  Holds<typeof fineTune extends (context: MethodContext) => Promise<MemberLearner[]> ? true : false>,
  Holds<Parameters<typeof trainRun>[0]["method"] extends Method ? true : false>,
  Holds<Plan extends object ? true : false>,
];

/** Calls as users write them; wrong ones are refused. */
export async function calls(): Promise<void> {
  const run: TrainedRun = await train({ images: "./photos", k: 2, onEvent: (event: RunEvent) => void event.type });
  // @ts-expect-error images are needed
  await train({ k: 2 });
  // @ts-expect-error the number of models is a number
  await train({ images: "./photos", k: "2" });
  using predictor = await Predictor.open(run.path);
  const one: ImagePrediction = await predictor.predict("some.jpg");
  const many: ImagePrediction[] = await predictor.predict(["some.jpg", new Uint8Array()], { top: 3 });
  const outcomes: AsyncGenerator<PredictionOutcome<string>> = predictor.predictEach(["some.jpg"]);
  // @ts-expect-error an outcome is a prediction or an error
  for await (const { prediction } of outcomes) void prediction;
  const server: RunningServer = await serve({ models: [run.path], port: 0, degrade: 1 });
  const told: ServedPrediction = await connect(server.url).predict(new Blob([]), { k: 1, explain: true });
  const { values } = await connect(server.url).predict(new Blob([]), { task: "regression" });
  // @ts-expect-error the number of models is a number
  await connect(server.url).predict(new Blob([]), { k: "1" });
  const sum: Tensor = scope(() =>
    noGrad(() =>
      tensor([[1, 2]])
        .add(1)
        .mul(tensor([2])),
    ),
  );
  // @ts-expect-error a tensor is no number
  sum.add("1");
  const layer = new Linear(2, 3, { generator: undefined as never });
  const model: Uint8Array = exportOnnx(layer, tensor([[1, 2]]), { output: "logits" });
  const optimizer = new AdamW([{ params: layer.parameters(), lr: 1e-3 }]);
  const norm: number = clipGradNorm(layer.parameters(), 1);
  const interval: { mean: number } = meanInterval([1, 2, 3]);
  const bundle: BundleModel = await openBundle("bundle", { ort: undefined as never, memoryBytes: 1e8 });
  const routed: BundlePrediction = await bundle.predict({ data: new Uint8Array(4), width: 1, height: 1 }, { k: 1 });
  const given: OpenOptions = { ort: undefined as never };
  const same: BundlePrediction = await (await openBundle("bundle", given)).predict(new Blob([]));
  const tagger = await openBundle("bundle", { ort: undefined as never, task: "multi-label" });
  const { labels } = await tagger.predict({ data: new Uint8Array(4), width: 1, height: 1 });
  // @ts-expect-error pixels need their size
  await bundle.predict({ data: new Uint8Array(4), width: 1 });
  // @ts-expect-error an ONNX runtime is needed
  await openBundle("bundle", {});
  void [same, values, labels, one, many, told, routed, model, optimizer, norm, interval, Loader, GraphModel, openOnnx];
}
