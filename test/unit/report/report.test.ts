import assert from "node:assert/strict";
import { test } from "node:test";
import {
  amount,
  curves,
  duration,
  escapeHtml,
  heatMap,
  htmlPage,
  htmlTable,
  lineChart,
  markdownTable,
  pathwayHeatMap,
  percent,
  points,
  scatterPlot,
  textTable,
} from "../../../src/report/index.ts";
import type { RunEvent } from "../../../src/train/index.ts";

const columns = [
  { title: "name", value: (row: { name: string; n: number }) => row.name },
  { title: "n", value: (row: { name: string; n: number }) => String(row.n), right: true },
];
const rows = [
  { name: "a|b", n: 5 },
  { name: "long name", n: 12 },
];

test("tables line up, for the terminal and for Markdown", () => {
  assert.deepEqual(textTable(rows, columns).split("\n"), [
    "name        n",
    "---------  --",
    "a|b         5",
    "long name  12",
  ]);
  assert.deepEqual(markdownTable(rows, columns).split("\n")[2], "| a\\|b | 5 |");
});

test("amounts, parts and durations", () => {
  assert.deepEqual([amount(12_300_000), amount(950), amount(2e12)], ["12.3 M", "950", "2.00 T"]);
  assert.equal(percent(0.8312), "83.1 %");
  assert.deepEqual([0.0123, 0, -0.05].map(points), ["+1.2", "+0.0", "-5.0"]);
  assert.deepEqual([duration(0.00123), duration(61), duration(600)], ["1.23 ms", "61.0 s", "10.0 min"]);
});

test("names cannot break out of a page", () => {
  const nasty = `<script>alert("x")</script>&`;
  const pages = [
    htmlPage(nasty, [htmlTable([nasty], [[nasty]])]),
    heatMap(nasty, [nasty], [nasty], [[1]], String),
    lineChart(
      nasty,
      [
        {
          name: nasty,
          points: [
            [0, 1],
            [1, 2],
          ],
        },
      ],
      { x: nasty, y: nasty },
    ),
    scatterPlot(nasty, [{ name: nasty, x: 1, y: 2 }], { x: nasty, y: nasty }),
  ];
  for (const page of pages) {
    assert.ok(!page.includes("<script>"));
    assert.ok(page.includes(escapeHtml(nasty)));
  }
});

test("the heat map of pathways counts activations of each class", () => {
  const page = pathwayHeatMap(
    { labels: [0, 0, 1], weights: Float32Array.from([1, 0, 0, 1, 0, 1]) },
    ["x", "y"],
    ["m0", "m1"],
  );
  const cells = [...page.matchAll(/<td[^>]*>([\d.]+)<\/td>/g)].map((match) => match[1]);
  assert.deepEqual(cells, ["0.50", "0.50", "0.00", "1.00"]);
  assert.equal(pathwayHeatMap({ labels: [0], weights: new Float32Array() }, ["x"], ["m"]), "");
});

test("curves are drawn from events", () => {
  const event = (epoch: number): RunEvent => {
    return { type: "epoch", fit: "f", epoch, loss: 1 / epoch, validation: undefined, shares: [0.5, 0.5], seconds: 1 };
  };
  const [loss = "", accuracy, shares = ""] = curves([event(1), event(2)], ["m0", "m1"]);
  assert.match(loss, /polyline/);
  assert.equal(accuracy, "");
  assert.match(shares, /m0/);
});

const coordinates = (html: string) =>
  [...html.matchAll(/points="([^"]*)"/g)].map((match) => match[1]?.split(" ").length);

test("a value that is not finite leaves a gap instead of a zero, and the page says so", () => {
  const points = [1, 2, Number.NaN, 4, 5, Number.POSITIVE_INFINITY, 7].map((y, x) => [x, y] as const);
  const chart = lineChart("loss", [{ name: "a", points }], { x: "epoch", y: "nats" });
  assert.deepEqual(coordinates(chart), [2, 2, 1]);
  assert.doesNotMatch(chart, /NaN|Infinity/);
  assert.match(chart, /not a finite number/);
  const none = [[0, Number.NaN]] as const;
  assert.equal(lineChart("loss", [{ name: "a", points: none }], { x: "epoch", y: "nats" }), "");
  const lost = curves([{ type: "epoch", fit: "f", epoch: 1, loss: null, seconds: 1 } as unknown as RunEvent], []);
  assert.deepEqual(lost.join(""), "", "JSON's null is no zero");
});

test("parts of one are drawn in per cent", () => {
  const points = [
    [1, 0.25],
    [2, 0.75],
  ] as const;
  const chart = lineChart("accuracy", [{ name: "a", points }], { x: "epoch", y: "accuracy", percent: true });
  const labels = [...chart.matchAll(/text-anchor="end">(\d+)</g)].map((match) => match[1]);
  assert.deepEqual(labels.slice(1), ["25", "38", "50", "63", "75"]);
  assert.match(chart, /accuracy, %/);
});

test("a heat map of thousands of cells is made without spreading them", () => {
  const names = Array.from({ length: 700 }, (_, i) => `c${i}`);
  const values = names.map((_, i) => names.map((_, j) => (i === j ? 3 : 0)));
  assert.ok(heatMap("confusion", names, names, values, String).includes("c699"));
});
