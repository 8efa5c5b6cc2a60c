/**
 * Comparing methods under one protocol: plans (method, choices, budget) on targets and seeds, each a cell that is computed
 * once and kept; paired statistics over seeds and images; tables as text, Markdown and HTML. Read method-cell.ts first: one
 * cell from its key to its figures. An experiment (src/experiments) says what is compared, and this folder how.
 * It may import methods, report, train and all below them; only experiments and the command line import it.
 */
export { type CellId, CellStore, slug } from "./cell-store.ts";
export { CellTraining } from "./cell-training.ts";
export {
  type Comparison,
  comparisonExperiment,
  comparisonGroups,
  comparisonReport,
  finishedCells,
} from "./comparison.ts";
export {
  gainText,
  intervalText,
  type Line,
  lineColumns,
  lineOf,
  mark,
  overOtherRoutes,
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
  isAsked,
  quickRemark,
  type ReportSection,
  right,
} from "./experiment.ts";
export { changesFrom } from "./identity.ts";
export {
  figuresOf,
  finishedCell,
  type MethodCell,
  methodCell,
  methodCellIds,
  testName,
  withTest,
} from "./method-cell.ts";
export {
  computeEpochs,
  frozenControls,
  literal,
  literalChoices,
  mainPlans,
  ourChoices,
  ours,
  type PlanSize,
  plan,
  tailPlans,
  tailSeeds,
} from "./plans.ts";
export {
  images,
  optionsKey,
  type Plan,
  type Protocol,
  protocolOf,
  Setting,
  type Target,
  targetKey,
  targets,
  targetsOf,
} from "./protocol.ts";
export { provenance } from "./provenance.ts";
export { recordTestReading, reportText, saveReport, statusReport } from "./save-report.ts";
export {
  type MeanInterval,
  mean,
  meanInterval,
  median,
  type StudentTest,
  standing,
  studentTest,
  weightedTau,
} from "./statistics.ts";
export { cleanWork, work, workStatus } from "./work.ts";
