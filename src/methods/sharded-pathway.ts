/**
 * Hub-Pathway whose models are shared out: each rank has the weights of its own, and every rank routes its rows of the batch.
 * Ranks tell each other which rows activate which models. A model's owner reads these images itself and returns their logits;
 * the gradient of the logits comes back the same way. Features, weights and images stay where they are.
 * B batch, n rows of one rank, m models, C outputs, N ranks.
 */
import { HubMember, isElsewhere } from "../hub/index.ts";
import { rowsOfRank } from "../nn/index.ts";
import {
  HubPathway,
  type HubPathwayOptions,
  type PathwayOutput,
  type Routing,
  type StoredFeatures,
} from "../pathway/index.ts";
import {
  cat,
  type Dtype,
  disposeTree,
  elementBytes,
  int64,
  type ProcessGroup,
  scope,
  type Tensor,
  tensor,
  trimMemory,
  zeros,
} from "../torch/index.ts";
import type { ShardContext, Shards } from "../train/index.ts";

export interface ShardedPathwayOptions extends HubPathwayOptions {
  group: ProcessGroup;
  /** The rank that has the weights of each model, [m]. */
  owners: readonly number[];
}

/** Ranks that have the models among them. */
export interface SharedContext extends ShardContext {
  /** The rank that has the weights of each model, [m]. */
  owners: readonly number[];
}

/** Logits [n, C] of each model that some rank activated, for the rows that were asked for; undefined for the others. */
type Answers = readonly (Tensor | undefined)[];

export class ShardedPathway extends HubPathway {
  readonly #outputs: number;
  readonly #owners: readonly number[];
  /** Undefined once this rank has all weights at hand. */
  #group: ProcessGroup | undefined;

  constructor({ group, owners, ...options }: ShardedPathwayOptions) {
    super(options);
    this.#outputs = options.outputs;
    this.#owners = owners;
    this.#group = group;
  }

  /** This rank's part of the model, and the others'. */
  shards({ group, owners, residency }: SharedContext): Shards {
    const parts = [this.members.map(({ backbone }) => backbone), this.heads];
    const of = (isOwn: boolean) => parts.flatMap((all) => all.filter((_, i) => (owners[i] === group.rank) === isOwn));
    const common = [...this.generator.parameters(), ...this.aggregation.parameters()];
    const gather: Shards["gather"] = (weightsOf) => {
      this.#gather(residency, weightsOf);
    };
    return { group, own: of(true), others: of(false), common, gather };
  }

  /**
   * Members of other ranks enter memory as they are used, as much of it as this rank's own take, which computes alone from now
   * on.
   */
  #gather(residency: SharedContext["residency"], weightsOf: Parameters<Shards["gather"]>[0]): void {
    const members = this.members.filter((member) => member instanceof HubMember);
    const own = members.filter((member) => !isElsewhere(member));
    const tensors = own.flatMap(({ backbone }) => [...backbone.stateDict().values()]);
    const bytes = tensors.reduce((sum, tensor) => sum + tensor.numel() * elementBytes(tensor.dtype as Dtype), 0);
    const memory = residency(bytes);
    // What gradients and moments took makes room for the others' models.
    trimMemory();
    for (const member of members) {
      if (own.includes(member)) continue;
      memory.manage(member, () => {
        const weights = new Map(weightsOf(member.name));
        return { stateDict: () => weights, dispose: () => disposeTree(weights) };
      });
    }
    this.#group = undefined;
  }

  /**
   * As for a hub in one place, with logits in place of features.
   * @param stored logits that were computed before
   */
  override execute(images: Tensor, routing: Routing, stored?: StoredFeatures): PathwayOutput {
    const group = this.#group;
    if (!group) return super.execute(images, routing, stored);
    const { rows } = routing;
    const answers = stored
      ? this.#known(rows, stored)
      : this.part
        ? this.#exchange(rows, group)
        : this.#all(rows, images, group);
    const members = answers.flatMap((logits, index) => {
      if (!logits) return [];
      const own = rows[index] ?? [];
      const rowIndex = int64(own, images.device);
      const weights = routing.weights.select(1, index).index_select(0, rowIndex).unsqueeze(1);
      // Features stay with their owner.
      return [{ index, rows: own, rowIndex, features: logits.narrow(1, 0, 0), logits, weights }];
    });
    return { logits: this.aggregation.join(members, images.size(0), this.config.beta), routing, members };
  }

  /** Scores of the first rank, by which all evaluate: processors may differ in the last digit, and so choose other models. */
  agreed(scores: Tensor): Tensor {
    return this.#group ? this.#group.broadcast(scores, 0) : scores;
  }

  /** What each of the given models says of all images, for `execute`; undefined once this rank is alone. */
  ask(images: Tensor, models: readonly number[]): StoredFeatures | undefined {
    const group = this.#group;
    if (!group) return undefined;
    const everyRow = Array.from({ length: images.size(0) }, (_, row) => row);
    const answers = this.#all(
      this.members.map((_, i) => (models.includes(i) ? everyRow : [])),
      images,
      group,
    );
    const named = new Map(this.members.map(({ name }, i) => [name, answers[i]]));
    return (name, rows) => {
      const logits = named.get(name);
      return rows ? logits?.index_select(0, int64(rows, logits.device)) : logits;
    };
  }

  #known(rows: readonly number[][], stored: StoredFeatures): Answers {
    return this.members.map(({ name }, i) => (rows[i]?.length ? stored(name, rows[i]) : undefined));
  }

  /** Logits of this rank's models, in the type of the heads, which is the same on all ranks. */
  #logits(index: number, images: Tensor): Tensor {
    const { members, heads } = this;
    const [member, head] = [members[index], heads[index]];
    if (!member || !head) throw new RangeError(`the hub has no model ${index}`);
    return head.forward(member.features(images)).to({ dtype: head.weight.dtype as Dtype });
  }

  #nothing(rows: number): Tensor {
    const { dtype, device } = this.heads[0]?.weight ?? {};
    return zeros([rows, this.#outputs], { dtype: dtype as Dtype, device });
  }

  /** Of images that all ranks see: everybody gets the logits of all owners. */
  #all(rows: readonly number[][], images: Tensor, group: ProcessGroup): Answers {
    const parts = rows.map((own, index) => {
      if (own.length === 0 || this.#owners[index] !== group.rank) return this.#nothing(own.length);
      return scope(() => this.#logits(index, images.index_select(0, int64(own, images.device))));
    });
    const table = group.allReduce(cat(parts));
    let at = 0;
    return rows.map(({ length }) => {
      at += length;
      return length === 0 ? undefined : table.narrow(0, at - length, length);
    });
  }

  /** Of a batch that is shared: each rank gets the logits of its own rows. */
  #exchange(rows: readonly number[][], group: ProcessGroup): Answers {
    const { part } = this;
    const all = part?.all;
    if (!part || !all) throw new Error("a shared step needs the images of all rows");
    const { rank, worldSize } = group;
    const wanted = activations(rows, part.first, part.rows, group);
    const ranks = Array.from({ length: worldSize }, (_, i) => rowsOfRank(part.rows, { rank: i, worldSize }));
    const models = (owner: number) => [...wanted.keys()].filter((i) => this.#owners[i] === owner);
    const ofRank = (index: number, [first, end]: [number, number]) =>
      (wanted[index] ?? []).filter((row) => row >= first && row < end);

    // Each owner's rows are ordered by model; they go out by rank first.
    const own = models(rank).filter((i) => wanted[i]?.length);
    const starts = new Map<number, number>();
    let count = 0;
    for (const i of own) {
      starts.set(i, count);
      count += wanted[i]?.length ?? 0;
    }
    const places = ranks.map((range) =>
      own.flatMap((i) => {
        const before = (wanted[i] ?? []).findIndex((row) => row >= range[0]);
        return ofRank(i, range).map((_, j) => (starts.get(i) ?? 0) + before + j);
      }),
    );
    const answers = own.map((i) => this.#logits(i, all.index_select(0, int64(wanted[i] ?? [], all.device))));
    const sent = own.length > 0 ? cat(answers).index_select(0, int64(places.flat(), all.device)) : this.#noAnswers();
    const mine = ranks[rank] as [number, number];
    const received = ranks.map((_, owner) => models(owner).reduce((sum, i) => sum + ofRank(i, mine).length, 0));
    const got = group.allToAll(
      sent,
      received,
      places.map(({ length }) => length),
    );

    const found: (Tensor | undefined)[] = rows.map(() => undefined);
    let at = 0;
    for (const i of ranks.flatMap((_, owner) => models(owner))) {
      const { length } = ofRank(i, mine);
      if (wanted[i]?.length) found[i] = got.narrow(0, at, length);
      at += length;
    }
    return found;
  }

  /** No rows, but part of the graph: the backward pass is an exchange of all ranks too. */
  #noAnswers(): Tensor {
    const none = this.#nothing(0);
    none.requires_grad = true;
    return none;
  }
}

/** The rows of the whole batch that activate each model, ascending, [m][rows], from each rank's own rows. */
function activations(own: readonly number[][], first: number, batch: number, group: ProcessGroup): number[][] {
  const marks = new Uint8Array(own.length * batch);
  for (const [index, rows] of own.entries()) for (const row of rows) marks[index * batch + first + row] = 1;
  const all = scope(() => group.allReduce(tensor(marks)).toTypedArray());
  return own.map((_, index) => {
    return Array.from({ length: batch }, (_, row) => row).filter((row) => all[index * batch + row] === 1);
  });
}
