/**
 * Tables, plots and HTML reports, as text without a library. Read analysis.ts first: what a run's predictions say about its
 * models, as numbers; run-report.ts shows them.
 * It may import methods, train and all that they may.
 */
export {
  type AnalysisRequest,
  analyseRun,
  analyseVariants,
  type RunAnalysis,
  type VariantAnalysis,
} from "./analysis.ts";
export { heatMap } from "./heat-map.ts";
export { lineChart, type Series } from "./line-chart.ts";
export { htmlPage, htmlTable } from "./page.ts";
export {
  activeModels,
  chanceInformation,
  entropy,
  labelEntropy,
  meanScoreEntropy,
  meanWeightEntropy,
  mutualInformation,
  overlapMatrix,
  type Path,
  pathsOf,
  totalVariation,
  useOf,
} from "./routing-statistics.ts";
export { type RoutingVerdict, routesPay, routingVerdict, verdictSentence } from "./routing-verdict.ts";
export { curves, pathwayHeatMap, type RunReport, runReport } from "./run-report.ts";
export { scatterPlot } from "./scatter-plot.ts";
export { byFolder, type Slicing, slicings, thirds } from "./slices.ts";
export { escapeHtml, svgFile } from "./svg.ts";
export { amount, type Column, duration, escapeMarkdown, markdownTable, percent, points, textTable } from "./table.ts";
export { type TargetReport, targetReport } from "./target-report.ts";
export { type TargetVariants, targetVariants } from "./target-variants.ts";
