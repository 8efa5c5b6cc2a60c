/** The hub: manifest, members, preprocessing, BatchNorm policy. */
export { type MemberBatchNorm, setMemberBatchNorm } from "./batch-norm.ts";
export {
  describeHub,
  type Hub,
  loadMembers,
  type MemberReport,
  memberEntry,
  openHub,
  verifyHub,
} from "./hub.ts";
export { type HubManifest, type MemberEntry, manifestVersion, readManifest } from "./manifest.ts";
export { checkHash, HubMember, type LoadMemberOptions, loadMember, weightsPath } from "./member.ts";
export { preprocess } from "./preprocessing.ts";
export type { PathwayMember } from "./types.ts";
