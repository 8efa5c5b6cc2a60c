/**
 * A transfer method of your own behind the interface that Hub-Pathway and its rivals share.
 *
 *   npx tsx examples/new-method.ts ./photos [hub] [runs/humble]
 *
 * The method here fine-tunes each member with a confidence penalty (Pereyra et al. 2017) and keeps the best by validation.
 * It gets data, optimizer, checkpoints, events and resumption from the training loop, and says only what is its own.
 */
import { Predictor, type RunEvent, train } from "hub-pathway";
import { loadMembers } from "hub-pathway/hub";
import { fitEach, keepBest, MemberLearner, type MemberStep, type Penalty, refuseUnknown } from "hub-pathway/methods";
import { seedOf } from "hub-pathway/torch";
import type { Method, MethodContext } from "hub-pathway/train";

const [images, hub, out] = process.argv.slice(2);
if (!images) throw new Error("which images? npx tsx examples/new-method.ts ./photos");

const weight = 0.1;

/** Fine-tuning whose answers stay unsure: the entropy of the predictions is rewarded. */
class HumbleLearner extends MemberLearner {
  /** Called in each step with logits [n, C]; what it returns is added to the task's loss. */
  protected override penalty({ logits }: MemberStep): Penalty {
    const logProbabilities = logits.log_softmax(1);
    const entropy = logProbabilities.exp().mul(logProbabilities).sum(1).neg().mean();
    return { loss: entropy.mul(-weight), logs: { entropy: entropy.item() } };
  }
}

/** A learner of one member; its head starts from the run's seed and the member's name, so that runs can be repeated. */
function makeLearner(name: string, context: MethodContext): HumbleLearner {
  const [member] = loadMembers(context.hub, { names: [name] });
  if (!member) throw new Error(`the hub has no member ${name}`);
  return new HumbleLearner(member, context.task, seedOf(context.options.seed, name));
}

const humble: Method = {
  name: "humble",
  // Raise it when the same choices would train otherwise: then old runs are not taken for new ones.
  version: 1,
  // The entropy is that of one class. A method whose loss is right for several labels and for numbers leaves this out.
  kinds: ["classification"],
  configure(choices) {
    // Before anything is computed or written. `methodOf` reads choices by a schema, for a method that has some.
    refuseUnknown("humble", choices, []);
    // `fitEach` trains one learner after another, or loads those that are finished; a stopped run goes on where it was.
    return { train: async (context) => keepBest(context, await fitEach(context, makeLearner)) };
  },
};

/** The last entropy of each fit, from its events. */
const entropies = new Map<string, number>();
function watch(event: RunEvent): void {
  if (event.type === "step" && event.logs["entropy"] !== undefined) entropies.set(event.fit, event.logs["entropy"]);
}

const run = await train({ images, hub, out, method: humble, onEvent: watch });
for (const [fit, entropy] of entropies) console.log(`${fit}: entropy ${entropy.toFixed(2)} nats at the end`);

// The run predicts without the method: what it keeps is a member with a head, which is known.
using predictor = await Predictor.open(run.path);
const accuracy = (100 * run.validation.accuracy).toFixed(1);
console.log(`${run.path}: ${predictor.members.join(", ")} is best, accuracy ${accuracy} % on validation images`);
