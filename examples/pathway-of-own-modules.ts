/**
 * Hub-Pathway over two modules of your own, without files or hubs: what the method is, in one loop.
 *
 *   npx tsx examples/pathway-of-own-modules.ts [steps]
 *
 * The task has two kinds of images. In bright ones the mean of the red channel decides the class, in dark ones that of
 * the green channel. One model sees red only, the other green only; the generator has to learn whom to ask.
 */
import { crossEntropy, Linear, Module } from "hub-pathway/nn";
import { AdamW } from "hub-pathway/optim";
import { HubPathway, type PathwayMember, resolvePathwayConfig } from "hub-pathway/pathway";
import { Generator, noGrad, RandomStreams, rand, scope, type Tensor } from "hub-pathway/torch";

const steps = Number(process.argv[2] ?? 300);
const streams = new RandomStreams(0);

/** The mean of one channel, through two layers: images [n, 3, H, W] to features [n, 8]. */
class OneChannel extends Module {
  readonly #channel: number;
  readonly #first: Linear;
  readonly #second: Linear;

  constructor(channel: number, generator: Generator) {
    super();
    this.#channel = channel;
    this.#first = this.module("first", new Linear(1, 8, { generator }));
    this.#second = this.module("second", new Linear(8, 8, { generator }));
  }

  override forward(images: Tensor): Tensor {
    const mean = images.select(1, this.#channel).mean([1, 2]).unsqueeze(1);
    return this.#second.forward(this.#first.forward(mean).relu());
  }
}

/** A member is a name, a module, the width of its features, and what it costs. */
function member(name: string, channel: number): PathwayMember {
  const backbone = new OneChannel(channel, streams.stream(name));
  return { name, backbone, featureWidth: 8, flops: 144, features: (images) => backbone.forward(images) };
}

/** Images [n, 3, 8, 8] and their classes [n]: blue is the brightness, which says which channel counts. */
function batch(n: number, generator: Generator): { images: Tensor; labels: Tensor; bright: Tensor; dark: Tensor } {
  const means = rand([n, 3], { generator });
  const [red, green, blue] = means.unbind(1) as [Tensor, Tensor, Tensor];
  const bright = blue.gt(0.5).to({ dtype: "float32" });
  const dark = bright.neg().add(1);
  const decisive = red.mul(bright).add(green.mul(dark));
  const labels = decisive.gt(0.5).to({ dtype: "int64" });
  return { images: means.unsqueeze(2).unsqueeze(3).expand([n, 3, 8, 8]).contiguous(), labels, bright, dark };
}

const members = [member("red", 0), member("green", 1)];
const config = resolvePathwayConfig({ k: 1, generatorSize: 8 }, members.length);
const pathway = new HubPathway({ members, outputs: 2, streams, config });
const optimizer = new AdamW([{ params: pathway.parameters(), lr: 0.01, weight_decay: 0 }]);

for (let step = 0; step < steps; step++) {
  // Handles made inside a scope are released with it; the loss is returned, and survives for backward.
  using loss = scope(() => {
    const { images, labels } = batch(128, streams.stream("data"));
    const routing = pathway.route(images, step / steps);
    const rowLoss = (logits: Tensor, rows?: Tensor) =>
      crossEntropy(logits, rows ? labels.index_select(0, rows) : labels, { reduction: "none" });
    return pathway.losses(pathway.execute(images, routing), rowLoss, step / steps).total;
  });
  optimizer.zeroGrad();
  loss.backward();
  optimizer.step();
}

pathway.eval();
scope(() =>
  noGrad(() => {
    const { images, labels, bright, dark } = batch(1000, new Generator(1));
    const routing = pathway.route(images);
    const right = pathway.execute(images, routing).logits.argmax(1).eq(labels).to({ dtype: "float32" });
    const red = routing.weights.select(1, 0);
    const share = (kind: Tensor) => ((100 * red.mul(kind).sum().item()) / kind.sum().item()).toFixed(0);
    console.log(`accuracy ${(100 * right.mean().item()).toFixed(1)} %`);
    console.log(`the red model runs on ${share(bright)} % of bright images and on ${share(dark)} % of dark ones`);
  }),
);
