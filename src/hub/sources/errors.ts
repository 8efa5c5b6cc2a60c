/** What went wrong with a file of ours, for the user. */
import { UserError } from "../../torch/index.ts";

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: free some space, or choose another folder for the cache (HF_HOME, HUB_PATHWAY_CACHE)",
  EDQUOT:
    "the disk quota is used up: free some space, or choose another folder for the cache (HF_HOME, HUB_PATHWAY_CACHE)",
  EFBIG: "the file is larger than the system allows",
  ENAMETOOLONG: "its name is too long",
  ENOENT: "its folder was removed meanwhile",
  ENOTDIR: "part of the path is not a folder",
  EISDIR: "there is a folder of that name",
  EACCES: "no permission: choose another folder for the cache (HF_HOME, HUB_PATHWAY_CACHE)",
  EPERM: "no permission: choose another folder for the cache (HF_HOME, HUB_PATHWAY_CACHE)",
  EROFS: "the file system is read-only: choose another folder for the cache (HF_HOME, HUB_PATHWAY_CACHE)",
};

/** An error of the file system as a UserError, any other as it is. */
export function explainWrite(error: unknown, path: string): unknown {
  const reason = reasons[(error as NodeJS.ErrnoException | undefined)?.code ?? ""];
  return reason ? new UserError(`cannot write ${path}: ${reason}`, { cause: error }) : error;
}
