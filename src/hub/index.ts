/**
 * Hubs: folders with hub.json and the weights of pre-trained members over images or observations. Read manifest.ts first.
 * There is one way to open a member (load-member.ts), to try it out (verify.ts) and to add it (adding/add-member.ts).
 * Nothing but adding/ ever writes into a hub; weights may lie outside memory (residency.ts). Training, methods and
 * environments are not known here.
 * It may import models, data, graphs, fetch and what they may.
 */

export { type AddedMember, type AddRequest, addMember, addTrained, type TrainedNetwork } from "./adding/add-member.ts";
export { removeMember } from "./adding/change.ts";
export { type CreateRequest, createHub, type HubPlan, type Outcome, planHub } from "./adding/create-hub.ts";
export type { Wishes } from "./adding/propose.ts";
export { fileOf, filesOf, memberBytes } from "./files.ts";
export { findHub, starterHub } from "./find-hub.ts";
export {
  anyInput,
  computationOf,
  describeEntry,
  describeHub,
  type Hub,
  type LoadMembersOptions,
  loadEach,
  loadMembers,
  type MemberReport,
  memberEntries,
  memberEntry,
  memberFingerprint,
  type OpenHubOptions,
  openHub,
  reportMember,
  withMembers,
} from "./hub.ts";
export { type LoadMemberOptions, loadBackbone, loadMember } from "./load-member.ts";
export {
  type HubManifest,
  type ImageInput,
  isImageMember,
  largestInput,
  type MemberEntry,
  type MemberInput,
  manifestVersion,
  type ObservationInput,
  readManifest,
  trainingOf,
  writeManifest,
} from "./manifest.ts";
export { type Classifier, HubMember, type MemberBatchNorm, type NetworkOf, setMemberBatchNorm } from "./member.ts";
export { preprocess } from "./preprocessing.ts";
export {
  chooseMembers,
  forbidsCommercialUse,
  type HubPreset,
  type MemberChoice,
  type PresetMember,
  presetNames,
  readPreset,
} from "./presets.ts";
export { Residency, type ResidencyOptions } from "./residency.ts";
export { balanced, isElsewhere, loadShared, type MemberCost, type SharedMembers } from "./shards.ts";
export { verifyHub } from "./verify.ts";
