/** The hub: manifest, members, preprocessing, BatchNorm policy. */

export { type AddAgentRequest, addAgent } from "./adding/add-agent.ts";
export { type AddedMember, type AddRequest, addMember } from "./adding/add-member.ts";
export type { Wishes } from "./adding/propose.ts";
export { removeMember } from "./adding/remove-member.ts";
export { type MemberBatchNorm, setMemberBatchNorm } from "./batch-norm.ts";
export { fileOf, filesOf } from "./files.ts";
export { findHub, starterHub } from "./find-hub.ts";
export {
  describeHub,
  type Hub,
  loadMembers,
  type MemberReport,
  memberEntry,
  memberFingerprint,
  openHub,
  reportMember,
  requireImageMembers,
  withMembers,
} from "./hub.ts";
export {
  type AgentEntry,
  type HubManifest,
  largestInput,
  type MemberEntry,
  type MemberInput,
  manifestVersion,
  readManifest,
  writeManifest,
} from "./manifest.ts";
export { checkFiles, HubMember, type LoadMemberOptions, loadBackbone, loadMember } from "./member.ts";
export { preprocess } from "./preprocessing.ts";
export { Residency, type ResidencyOptions } from "./residency.ts";
export { verifyHub, verifyMember } from "./verify.ts";
