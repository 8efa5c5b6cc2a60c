/** Check of a hub's members: files and features. n inputs of C channels, h x w the member's sides, d features. */
import { inferenceMode, scope, type Tensor, UserError, zeros } from "../torch/index.ts";
import { type Hub, type MemberReport, reportOf } from "./hub.ts";
import { type LoadMemberOptions, loadMember } from "./load-member.ts";
import type { ImageInput, MemberEntry, MemberInput } from "./manifest.ts";
import type { HubMember } from "./member.ts";
import { sidesOf } from "./preprocessing.ts";

/**
 * Problems of each member: hashes, keys, shapes, preprocessing, and a forward pass. Empty lists mean all is well. A hub
 * may be larger than memory: members are loaded one after the other.
 */
export function verifyHub(hub: Hub<MemberInput>): { name: string; problems: string[] }[] {
  const { dir, trust, manifest } = hub;
  return manifest.members.map((entry) => ({ name: entry.name, problems: tryOut(dir, entry, { trust }).problems }));
}

/**
 * The report on a member whose files were just written and hashed.
 * @throws UserError with all problems of one that is not usable
 */
export function requireUsable(dir: string, entry: MemberEntry, trust: boolean): MemberReport {
  const { problems, report } = tryOut(dir, entry, { trust, verified: true });
  if (report && problems.length === 0) return report;
  throw new UserError(problems.join("; "));
}

function tryOut(
  dir: string,
  entry: MemberEntry,
  options: LoadMemberOptions,
): { problems: string[]; report?: MemberReport } {
  const problems = entry.input.kind === "image" ? inputProblems(entry.name, entry.input) : [];
  let member: HubMember<MemberInput>;
  try {
    member = loadMember(dir, entry, options);
  } catch (error) {
    if (error instanceof UserError) return { problems: [...problems, error.message] };
    throw error;
  }
  try {
    member.backbone.eval();
    problems.push(...scope(() => inferenceMode(() => forwardProblems(member))));
    return { problems, report: reportOf(member) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { problems: [...problems, `member "${entry.name}": ${error.message}`] };
  } finally {
    member.dispose();
  }
}

/** Values in [0, 1] come out of the normalisation between these, whatever published network it is for. */
const widestNormalised = 20;

/** Most wrong preprocessing comes from another scale: 0 to 255 instead of 0 to 1. */
function inputProblems(name: string, { mean, std }: ImageInput): string[] {
  const furthest = Math.max(...mean.map((m, i) => Math.max(Math.abs(m), Math.abs(1 - m)) / (std[i] ?? 1)));
  const collapsed = Math.max(...std) > 2;
  // Networks from Caffe take values of 0 to 255 less a mean.
  const isCaffe = std.every((value) => Math.abs(255 * value - 1) < 0.01);
  if (!collapsed && (furthest <= widestNormalised || isCaffe)) return [];
  const given = `mean ${mean.join(", ")} and std ${std.join(", ")}`;
  return [
    `member "${name}": ${given} do not fit values in [0, 1]` +
      (collapsed ? ": divide them by 255 if they are for values in [0, 255]" : ""),
  ];
}

function forwardProblems(member: HubMember<MemberInput>): string[] {
  const { name, entry } = member;
  const { kind } = entry.input;
  const features = member.features(samples(entry.input));
  const [n, d] = features.shape;
  if (features.dim() !== 2 || n !== 3 || d !== entry.featureWidth) {
    return [`member "${name}": 3 ${kind}s give features [${features.shape}] instead of [3, ${entry.featureWidth}]`];
  }
  if (features.sub(features).isnan().logical_not().all().item() !== 1) {
    return [`member "${name}": its features are not finite on plain ${kind}s`];
  }
  if (entry.policy) member.classifierLayer();
  // Observations are seldom plain: a policy need not tell grey ones apart.
  if (kind === "observation") return [];
  const differs = features
    .sub(features.narrow(0, 0, 1))
    .abs()
    .amax([1])
    .narrow(0, 1, 2)
    .toNumbers();
  if (differs.some((difference) => difference > 0)) return [];
  const isGraph = entry.architecture === "graph";
  const advice = isGraph ? "name another tensor with --features" : "its weights are not those of this network";
  return [`member "${name}": its features are the same for every image: ${advice}`];
}

/** Grey, a ramp, and a chequered picture: [3, C, h, w] in [0, 1]. */
function samples(input: MemberInput): Tensor {
  const channels = input.kind === "image" ? 3 : input.shape[0];
  const [height, width] = sidesOf(input);
  const images = zeros([3, channels, height, width]);
  const values = Float32Array.from({ length: images.numel() }, (_, i) => {
    const [kind, x, y] = [Math.floor(i / (channels * height * width)), i % width, Math.floor(i / width) % height];
    if (kind === 0) return 0.5;
    return kind === 1 ? x / width : ((x >> 2) + (y >> 2)) % 2;
  });
  images.copyFrom(values);
  return images;
}
