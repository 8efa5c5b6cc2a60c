/**
 * Members' weights in bounded memory: a member becomes resident at its first use, and the least recently used ones
 * leave when the budget is exceeded. A member that was trained is written to the run's folder before it leaves, with
 * its optimizer state; the hub's own files are never written.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readSafetensors, writeSafetensors } from "../io/index.ts";
import type { Module } from "../nn/index.ts";
import {
  type Dtype,
  disposeTree,
  elementBytes,
  empty,
  isGradEnabled,
  keep,
  noGrad,
  normalMode,
  ops,
  park,
  scope,
  type Tensor,
  trimMemory,
  unpark,
} from "../torch/index.ts";
import type { MemberInput } from "./manifest.ts";
import type { HubMember } from "./member.ts";

/** State that an optimizer holds for each parameter. */
export interface ParameterState {
  momentsOf(parameter: Tensor): readonly Tensor[];
}

export interface ResidencyOptions {
  /** Bytes of weights and optimizer state that may stay in memory between steps. */
  budget: number;
  /** Folder for the members that were trained; it is made when needed. */
  folder: string;
}

/** Weights and buffers by name, which are disposed once they are copied. */
type Content = Pick<Module, "stateDict" | "dispose">;

interface Resident {
  readonly member: HubMember<MemberInput>;
  /** Number in the name of its file: one member may be here several times, each with weights of its own. */
  readonly serial: number;
  /** Loads the content from its file again; without it, the first leaving writes the member. */
  readonly reload: (() => Content) | undefined;
  inMemory: boolean;
  /** The memory that all its tensors are views of, once it has returned from a file. */
  block: Tensor | undefined;
  /** Bytes of weights, buffers and optimizer state. */
  bytes: number;
  /** True when it may differ from the content of its file. */
  changed: boolean;
  /** Written by us; until then its content is the hub's. */
  spilled: string | undefined;
  lastUse: number;
}

export class Residency {
  readonly budget: number;
  readonly #folder: string;
  readonly #residents: Resident[] = [];
  /** Members that are part of a graph which waits for backward. */
  readonly #waiting = new Set<Resident>();
  readonly #optimizers = new Set<ParameterState>();
  /** The block of the member that left last. */
  #spare: Tensor | undefined;
  #clock = 0;
  /** Bytes of members that left since memory was last given back to the system. */
  #left = 0;
  #count = 0;
  /** Number of times that members were loaded and written, for reports and tests. */
  readonly counts = { loads: 0, spills: 0 };

  constructor(options: ResidencyOptions) {
    this.budget = options.budget;
    this.#folder = options.folder;
    // Files that an interrupted run left here are older than its checkpoint.
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /**
   * Takes a loaded member over, whose weights leave memory until it is used.
   * @param reload gives its content as it is without training; undefined when no file has it
   */
  manage(member: HubMember<MemberInput>, reload: (() => Content) | undefined): void {
    const changed = reload === undefined;
    const resident: Resident = {
      member,
      serial: this.#count++,
      reload,
      inMemory: true,
      block: undefined,
      bytes: 0,
      changed,
      spilled: undefined,
      lastUse: 0,
    };
    this.#measure(resident);
    this.#residents.push(resident);
    member.beforeUse = () => this.#use(resident);
    member.afterDispose = () => this.#forget(resident);
    this.#leave(resident);
  }

  /** From now on this optimizer's state of a member leaves and returns with it. */
  attach(optimizer: ParameterState): void {
    this.#optimizers.add(optimizer);
  }

  detach(optimizer: ParameterState): void {
    this.#optimizers.delete(optimizer);
  }

  /** Call after each optimizer step: nothing waits for backward any more, and memory shrinks to the budget. */
  settle(): void {
    // The optimizer's first step for a member makes its state.
    for (const resident of this.#waiting) this.#measure(resident);
    this.#waiting.clear();
    this.#shrink(this.budget);
    if (this.#left < this.budget / 2) return;
    this.#left = 0;
    trimMemory();
  }

  /** Bytes of weights and optimizer state in memory now; gradients and activations come on top. */
  residentBytes(): number {
    return this.#residents.reduce((sum, resident) => sum + (resident.inMemory ? resident.bytes : 0), 0);
  }

  /** Deletes what was written. The members can no longer be used. */
  dispose(): void {
    this.#spare?.dispose();
    this.#spare = undefined;
    for (const resident of this.#residents) resident.block?.dispose();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** In training, also of BatchNorm's statistics alone, what the file holds is no longer what the member is. */
  #use(resident: Resident): void {
    this.#bring(
      resident,
      resident.member.backbone.modules().some((part) => part.training),
    );
    if (isGradEnabled()) this.#waiting.add(resident);
  }

  /** A disposed member has nothing that could leave. */
  #forget(resident: Resident): void {
    const at = this.#residents.indexOf(resident);
    if (at >= 0) this.#residents.splice(at, 1);
    this.#waiting.delete(resident);
    resident.block?.dispose();
    resident.block = undefined;
  }

  #bring(resident: Resident, changes: boolean): void {
    resident.lastUse = ++this.#clock;
    if (!resident.inMemory) {
      this.#shrink(this.budget - resident.bytes);
      this.#enter(resident);
    }
    if (changes) resident.changed = true;
  }

  #shrink(target: number): void {
    let bytes = this.residentBytes();
    if (bytes <= target) return;
    const leaving = this.#residents.filter((resident) => resident.inMemory && !this.#waiting.has(resident));
    for (const resident of leaving.sort((a, b) => a.lastUse - b.lastUse)) {
      if (bytes <= target) return;
      bytes -= resident.bytes;
      this.#leave(resident);
    }
  }

  #enter(resident: Resident): void {
    this.counts.loads += 1;
    if (resident.spilled !== undefined) {
      const { tensors } = readSafetensors(resident.spilled);
      this.#fill(resident, tensors);
      disposeTree(tensors);
    } else {
      const network = resident.reload && normalMode(resident.reload);
      this.#fill(resident, network?.stateDict() ?? new Map());
      network?.dispose();
    }
    resident.inMemory = true;
  }

  /** Copies into one block of memory: hundreds of blocks that come and go would leave holes that nothing fits into. */
  #fill(resident: Resident, content: ReadonlyMap<string, Tensor>): void {
    const tensors = this.#tensorsOf(resident);
    scope(() =>
      normalMode(() =>
        noGrad(() => {
          const block = this.#block(resident, tensors);
          let offset = 0;
          for (const [name, tensor] of tensors) {
            const length = bytesOf(tensor);
            const part = viewAs(block.narrow(0, offset, length), tensor);
            offset += aligned(length);
            const given = content.get(name);
            if (given) part.copy_(given);
            else part.zero_();
            unpark(tensor, part);
          }
        }),
      ),
    );
  }

  /** A block that another member left, where one fits exactly: hubs often hold many members of one shape. */
  #block(resident: Resident, tensors: ReadonlyMap<string, Tensor>): Tensor {
    const size = [...tensors.values()].reduce((sum, tensor) => sum + aligned(bytesOf(tensor)), 0);
    const block = this.#spare?.size(0) === size ? this.#spare : keep(empty([size], { dtype: "uint8" }));
    if (block === this.#spare) this.#spare = undefined;
    resident.block = block;
    return block;
  }

  #leave(resident: Resident): void {
    const tensors = this.#tensorsOf(resident);
    if (resident.changed) this.#spill(resident, tensors);
    for (const tensor of tensors.values()) {
      if (tensor.requires_grad) tensor.grad = undefined;
      park(tensor, (writing) => this.#bring(resident, writing));
    }
    resident.inMemory = false;
    this.#left += resident.bytes;
    this.#spare?.dispose();
    this.#spare = resident.block;
    resident.block = undefined;
  }

  #spill(resident: Resident, tensors: Map<string, Tensor>): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const path = join(this.#folder, `${resident.member.name}.${resident.serial}.safetensors`);
    writeSafetensors(path, tensors, {}, { scratch: true });
    this.counts.spills += 1;
    resident.spilled = path;
    resident.changed = false;
  }

  /** Weights and buffers by name, and optimizer state as `name#i`. */
  #tensorsOf({ member }: Resident): Map<string, Tensor> {
    const tensors = member.backbone.stateDict();
    for (const [name, parameter] of member.backbone.namedParameters()) {
      const moments = [...this.#optimizers].flatMap((optimizer) => optimizer.momentsOf(parameter));
      for (const [i, moment] of moments.entries()) tensors.set(`${name}#${i}`, moment);
    }
    return tensors;
  }

  #measure(resident: Resident): void {
    let bytes = 0;
    for (const tensor of this.#tensorsOf(resident).values()) bytes += bytesOf(tensor);
    resident.bytes = bytes;
  }
}

function bytesOf(tensor: Tensor): number {
  return tensor.numel() * elementBytes(tensor.dtype as Dtype);
}

/** Rounded up to what vector instructions like. */
function aligned(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

/** A part of a block as a tensor of the given one's dtype and shape; images' filters are laid out channels last. */
function viewAs(bytes: Tensor, like: Tensor): Tensor {
  const typed = ops.viewDtype(bytes, like.dtype);
  if (like.dim() !== 4) return typed.view(like.shape);
  const [n = 0, c = 0, h = 0, w = 0] = like.shape;
  return typed.view([n, h, w, c]).permute([0, 3, 1, 2]);
}
