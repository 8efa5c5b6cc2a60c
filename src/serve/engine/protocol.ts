/** What the server and an engine's process say to each other. */
import type { RejectionRule } from "../../train/index.ts";
import type { BatchAnswer, RowRequest } from "./answer-batch.ts";
import type { ModelInfo } from "./parts.ts";

/** What an engine is started with. */
export interface EngineOptions extends RejectionRule {
  /** Folder of a run or of a bundle. */
  readonly path: string;
  readonly k?: number | undefined;
  readonly confidence?: number | undefined;
  readonly flops?: number | undefined;
  /** Members' weights that are kept in memory, bytes. */
  readonly hubMemory?: number | undefined;
  readonly trust?: boolean | undefined;
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  /** Milliseconds that a member may take for its part of a batch. */
  readonly slowMs: number;
}

/** Images [rows, size, size, 3] in bytes, and what each of them asks for. */
export interface ToEngine {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly requests: readonly RowRequest[];
}

export type FromEngine =
  | { readonly type: "ready"; readonly info: ModelInfo }
  /** It cannot open its model, and ends. */
  | { readonly type: "refused"; readonly message: string; readonly exitCode: number }
  | { readonly type: "answers"; readonly id: number; readonly answer: BatchAnswer }
  | { readonly type: "failed"; readonly id: number; readonly message: string }
  | { readonly type: "trouble"; readonly member: string; readonly reason: string };
