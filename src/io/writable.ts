/** Places that will be written to, tried before long work begins. */
import { accessSync, constants, existsSync, statfsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { UserError } from "../torch/index.ts";
import { explainWrite } from "./system-errors.ts";

/**
 * Tries if a folder is one, or can be made, and takes files; nothing is written.
 * @throws UserError naming what stands in the way
 */
export function requireWritableFolder(path: string): void {
  const there = nearest(resolve(path));
  try {
    if (!statSync(there).isDirectory()) throw new UserError(`${path} cannot be a folder: ${there} is a file`);
    accessSync(there, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw explainWrite(error, path);
  }
}

/** Bytes that are free on the disk of a folder, which may be yet to be made; infinite where the system does not tell. */
export function freeBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(nearest(resolve(folder)));
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Number of the disk that a folder is on, or will be. */
export function diskOf(folder: string): number {
  return statSync(nearest(resolve(folder))).dev;
}

/** The path itself, or the nearest folder above it that exists. */
function nearest(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearest(dirname(path));
}
