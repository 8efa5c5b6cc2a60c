/** Comparing methods: cells, plans, protocols, statistics and tables that every experiment shares. */
export { packBits, unpackBits } from "./bits.ts";
export { CellStore, slug } from "./cell-store.ts";
export { CellTraining, type KFigures } from "./cell-training.ts";
export {
  type Comparison,
  comparisonExperiment,
  comparisonGroups,
  comparisonReport,
  finishedCells,
} from "./comparison.ts";
export {
  crossFittedRemark,
  differenceSection,
  differenceText,
  intervalText,
  type Line,
  lineColumns,
  lineOf,
  lineSection,
  pairsOf,
  paretoSection,
  type Split,
  sharesText,
  type TargetCells,
} from "./comparison-tables.ts";
export {
  type CellGroup,
  type CellWatch,
  columnsOf,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  quickRemark,
  type ReportSection,
  type ReportTable,
  right,
} from "./experiment.ts";
export { changesFrom } from "./identity.ts";
export {
  cellVersion,
  figuresOf,
  finishedCell,
  type MethodCell,
  methodCell,
  type RoutingFigures,
  type SplitFigures,
} from "./method-cell.ts";
export {
  allMembers,
  computeEpochs,
  mainPlans,
  ourChoices,
  ours,
  type PlanSize,
  plan,
  tailPlans,
  tailSeeds,
} from "./plans.ts";
export {
  type Budget,
  images,
  optionsKey,
  type Plan,
  type Protocol,
  protocolOf,
  Setting,
  type Target,
  targetKey,
  targetName,
  targets,
  targetsOf,
  unitEpochs,
} from "./protocol.ts";
export { type Provenance, provenance } from "./provenance.ts";
export { bestMemberLonger, onBestMember } from "./rivals.ts";
export {
  type Part,
  type ReportFiles,
  recordTestReading,
  reportText,
  runGroups,
  runProcesses,
  saveReport,
} from "./runner.ts";
export {
  crossFittedBest,
  type Difference,
  type MeanInterval,
  mean,
  meanInterval,
  type PairedSeed,
  pairedBootstrap,
  weightedTau,
} from "./statistics.ts";
