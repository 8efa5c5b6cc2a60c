/**
 * Ownership of native handles. Garbage collection cannot free tensors in a synchronous loop, so every handle belongs to
 * the innermost open scope, which releases it, or to whoever holds it with `using`.
 */
import { type Handle, native } from "./native.ts";

/** One reference to a native object; disposing it never breaks what autograd or a view still needs. */
export abstract class Owned {
  readonly handle: Handle;
  /** True for what `keep` took out of every scope. */
  kept = false;

  constructor(handle: Handle) {
    this.handle = handle;
    current?.push(this);
  }

  /** True when the native object is still held. */
  get isLive(): boolean {
    return native.isLive(this.handle);
  }

  /** Releases the native object; a second call does nothing. */
  dispose(): void {
    native.dispose(this.handle);
  }

  [Symbol.dispose](): void {
    native.dispose(this.handle);
  }
}

let current: Owned[] | undefined;

/**
 * Runs `fn` and releases every handle made inside, except those in what it returns (a tensor, or arrays, plain objects
 * and maps of them), which pass to the enclosing scope. Synchronous: a Promise is refused, because nothing may be
 * ambient across an `await`.
 */
export function scope<T>(fn: () => T): T {
  const outer = current;
  const made: Owned[] = [];
  current = made;
  let survivors: Set<Owned> | undefined;
  try {
    const result = fn();
    if (result instanceof Promise) {
      throw new TypeError("scope(fn) is synchronous: await outside the scope, or use `using` for single tensors");
    }
    survivors = new Set();
    collect(result, survivors);
    return result;
  } finally {
    current = outer;
    release(made, survivors);
    if (outer && survivors) for (const owned of made) if (survivors.has(owned)) outer.push(owned);
  }
}

/** Handles that `keep` took since the innermost `allOrNothing` began. */
let keeping: Owned[] | undefined;

/** Takes a handle (or a tree of handles) out of every enclosing scope: the caller disposes it. */
export function keep<T>(tree: T): T {
  const found = new Set<Owned>();
  collect(tree, found);
  for (const owned of found) owned.kept = true;
  keeping?.push(...found);
  return tree;
}

/** Runs `fn`; where it fails, what it kept is released too: half of a network belongs to nobody. */
export function allOrNothing<T>(fn: () => T): T {
  const outer = keeping;
  const kept: Owned[] = [];
  keeping = kept;
  try {
    const result = fn();
    outer?.push(...kept);
    return result;
  } catch (error) {
    native.disposeAll(kept.map((owned) => owned.handle));
    throw error;
  } finally {
    keeping = outer;
  }
}

/** Releases every handle in a tree of arrays, plain objects and maps. */
export function disposeTree(tree: unknown): void {
  const found = new Set<Owned>();
  collect(tree, found);
  native.disposeAll(Array.from(found, (owned) => owned.handle));
}

function release(made: Owned[], survivors: Set<Owned> | undefined): void {
  const handles: Handle[] = [];
  for (const owned of made) if (!owned.kept && !survivors?.has(owned)) handles.push(owned.handle);
  if (handles.length > 0) native.disposeAll(handles);
}

function collect(tree: unknown, into: Set<Owned>): void {
  if (typeof tree !== "object" || tree === null) return;
  if (tree instanceof Owned) into.add(tree);
  else if (Array.isArray(tree)) for (const element of tree) collect(element, into);
  else if (tree instanceof Map) for (const element of tree.values()) collect(element, into);
  else if (Object.getPrototypeOf(tree) === Object.prototype)
    for (const value of Object.values(tree)) collect(value, into);
}
