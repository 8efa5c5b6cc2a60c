/** Tables, plots and HTML reports. */
export { htmlPage, htmlTable } from "./page.ts";
export { curves, pathwayHeatMap, type RunReport, runReport } from "./run-report.ts";
export { escapeHtml, heatMap, lineChart, type Series, scatterPlot, svgFile } from "./svg.ts";
export { amount, type Column, duration, markdownTable, percent, textTable } from "./table.ts";
