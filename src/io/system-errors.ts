/** The operating system's refusals in words: what failed, and what the user can do. */
import fs from "node:fs";
import { dirname, resolve } from "node:path";
import { UserError } from "../torch/index.ts";
import { reasonOf } from "./quoted.ts";

/** Causes that read alike whether a file is read or written. */
const causes: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: free some space",
  EDQUOT: "the disk quota is used up: free some space",
  EIO: "the disk or its connection failed (input/output error): check the disk, then try again",
  EFBIG: "the file is larger than the system allows (see ulimit -f and the file system's own limit)",
  EMFILE: "this process has too many files open: raise the limit (ulimit -n)",
  ENFILE: "the machine has too many files open: close other programs, or raise the limit",
  ENOMEM: "the machine has no memory left: close other programs",
  EROFS: "the file system is read-only",
  ENOTDIR: "part of the path is not a folder",
  ELOOP: "its links go round in circles",
  ENAMETOOLONG: "the path is too long: choose a shorter one",
  EBUSY: "another program uses it: close that program, then try again",
  ETXTBSY: "another program uses it: close that program, then try again",
  ESTALE: "the network file system lost it: try again",
  ETIMEDOUT: "the network file system does not answer: try again",
  ERR_INVALID_ARG_VALUE: "that is not a path",
};

const readCauses: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "no permission to read it",
  EPERM: "no permission to read it",
  EISDIR: "it is a folder",
};

const writeCauses: Readonly<Record<string, string>> = {
  ENOENT: "the folder does not exist: create it first",
  EACCES: "no permission to write there",
  EPERM: "no permission to write there",
  EISDIR: "there is a folder of that name",
  EEXIST: "something of that name is there already",
  ENOTEMPTY: "something of that name is there already",
  EPIPE: "what it is written to was closed",
};

/** Causes that another folder helps against. */
const ofPlace = new Set(["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM"]);

/** The code of an error of the operating system, such as "ENOSPC"; undefined for other errors. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** A refusal to read `path` as a UserError that names file and cause; other errors stay what they are. */
export function explainRead(error: unknown, path: string): unknown {
  return explained(error, `cannot read ${path}`, readCauses);
}

/**
 * A refusal to write `path` as a UserError that names file and cause; other errors stay what they are.
 * @param elsewhere how to have it written somewhere else
 */
export function explainWrite(error: unknown, path: string, elsewhere = "choose another folder"): unknown {
  const refusal = nearestRefusal(error, path);
  const refused = explained(refusal, `cannot write ${path}`, writeCauses);
  if (refused === refusal || !(refused instanceof UserError) || !ofPlace.has(systemCode(refusal) ?? "")) return refused;
  return new UserError(`${refused.message}; ${elsewhere}`, { cause: error });
}

/** Node says that a folder is missing where it cannot make it for another reason, which the nearest folder that is there says. */
function nearestRefusal(error: unknown, path: string): unknown {
  if (systemCode(error) !== "ENOENT") return error;
  let folder = dirname(resolve(path));
  while (!fs.existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder);
  try {
    fs.accessSync(folder, fs.constants.W_OK);
    return error;
  } catch (refusal) {
    return refusal;
  }
}

/**
 * An error of the operating system that nothing closer has explained, as a UserError; undefined for any other error.
 * For the outermost handler: a refusal there is the user's or the machine's, no fault of the program.
 */
export function explainSystem(error: unknown): UserError | undefined {
  const code = systemCode(error);
  if (code === undefined || error instanceof UserError) return undefined;
  const { path, syscall = "" } = error as NodeJS.ErrnoException;
  const cause =
    (/^(?:open|read|scandir|.?stat)/.test(syscall) && readCauses[code]) || causes[code] || writeCauses[code];
  return cause === undefined ? undefined : new UserError(`${path ?? (syscall || code)}: ${cause}`, { cause: error });
}

function explained(error: unknown, what: string, own: Readonly<Record<string, string>>): unknown {
  const code = systemCode(error);
  if (code === undefined || error instanceof UserError) return error;
  const isSystem = (error as NodeJS.ErrnoException).errno !== undefined;
  const cause = own[code] ?? causes[code] ?? (isSystem ? reasonOf(error) : undefined);
  return cause === undefined ? error : new UserError(`${what}: ${cause}`, { cause: error });
}
