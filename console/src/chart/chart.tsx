// A quick look at an answer as lines or bars. The table is its accessible form.
//
// Owns: drawing with uPlot in the console's colours, and which columns are drawn. What points are is decided in points.ts.

import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useIsDark } from "../app/theme";
import type { Row, RowPages } from "../grid/pages";
import type { Column } from "../grid/values";
import { useLanguage, useText } from "../i18n";
import { formatNumber } from "../i18n/format";
import { Checkbox, Loading, ProblemBox, Select } from "../ui";
import styles from "./chart.module.css";
import {
  axisOf,
  type Choice,
  firstChoice,
  LINES_MAX,
  measures,
  POINTS_MAX,
  type Points,
  pointsOf,
  type Shape,
} from "./points";
import { chartText } from "./text";

export interface ChartProps {
  columns: Column[];
  pages: RowPages;
  rows: number;
  zone: string;
}

export default function Chart({ columns, pages, rows, zone }: ChartProps) {
  const text = useText(chartText);
  const { language } = useLanguage();
  const guess = useMemo(() => firstChoice(columns), [columns]);
  const [chosen, setChosen] = useState<{ of: Column[]; choice: Choice } | null>(null);
  const choice = chosen?.of === columns ? chosen.choice : guess;
  const { drawn, error } = useRows(pages, Math.min(rows, POINTS_MAX));
  const points = useMemo(
    () => (drawn && choice ? pointsOf(drawn, columns, choice, zone) : null),
    [drawn, columns, choice, zone],
  );

  if (!choice) return <p className={styles.none}>{text.none}</p>;
  if (error !== undefined) return <ProblemBox error={error} />;
  const choose = (next: Partial<Choice>) => setChosen({ of: columns, choice: { ...choice, ...next } });
  const figure = (value: number) => formatNumber(value, language);
  const names = (places: number[]) => places.map((at) => columns[at]?.name).join(", ");
  return (
    <section className={styles.chart}>
      <Choices columns={columns} choice={choice} onChoose={choose} />
      {points ? (
        <>
          <p className="only-read">{text.drawn(names(choice.y), names([choice.x]), figure(points.x.length))}</p>
          <Plot points={points} columns={columns} choice={choice} zone={zone} />
        </>
      ) : (
        <Loading label={text.loading} />
      )}
      <p className={styles.note}>
        {columns[choice.x]?.kind === "timestamp" && text.zone(zone)}{" "}
        {rows > POINTS_MAX && text.first(figure(POINTS_MAX), figure(rows))}
      </p>
    </section>
  );
}

/** The rows to draw; `undefined` while they come. */
function useRows(pages: RowPages, count: number) {
  const [state, setState] = useState<{ drawn?: Row[]; error?: unknown }>({});
  useEffect(() => {
    const abort = new AbortController();
    const collect = async () => {
      const drawn: Row[] = [];
      try {
        if (count > 0) for await (const piece of pages.range(0, count - 1, abort.signal)) drawn.push(...piece.rows);
        if (!abort.signal.aborted) setState({ drawn });
      } catch (error) {
        if (!abort.signal.aborted) setState({ error });
      }
    };
    void collect();
    return () => abort.abort();
  }, [pages, count]);
  return state;
}

interface ChoicesProps {
  columns: Column[];
  choice: Choice;
  onChoose: (next: Partial<Choice>) => void;
}

function Choices({ columns, choice, onChoose }: ChoicesProps) {
  const text = useText(chartText);
  const shapes: { id: Shape; label: string }[] = [
    { id: "line", label: text.line },
    { id: "bar", label: text.bar },
  ];
  const setShape = (shape: Shape) => onChoose({ shape, y: shape === "bar" ? choice.y.slice(0, 1) : choice.y });
  const toggle = (column: number, on: boolean) => {
    if (choice.shape === "bar") return onChoose({ y: [column] });
    const y = on ? [...choice.y, column].slice(-LINES_MAX) : choice.y.filter((at) => at !== column);
    if (y.length > 0) onChoose({ y });
  };
  return (
    <div className={styles.choices}>
      <Select label={text.shape} value={choice.shape} onChange={setShape} items={shapes} />
      <Select
        label={text.across}
        value={String(choice.x)}
        onChange={(x) => onChoose({ x: Number(x) })}
        items={columns.map(({ name }, at) => ({ id: String(at), label: name }))}
      />
      <fieldset>
        <legend>{text.up}</legend>
        {measures(columns).map((at) => (
          <Checkbox key={at} checked={choice.y.includes(at)} onChange={(on) => toggle(at, on)}>
            {columns[at]?.name}
          </Checkbox>
        ))}
      </fieldset>
    </div>
  );
}

interface PlotProps {
  points: Points;
  columns: Column[];
  choice: Choice;
  zone: string;
}

function Plot({ points, columns, choice, zone }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const dark = useIsDark();
  const { language } = useLanguage();
  // biome-ignore lint/correctness/useExhaustiveDependencies: colours are read from the page when the theme changes
  useEffect(() => {
    const box = place.current;
    if (!box) return;
    const size = () => ({ width: Math.max(200, box.clientWidth), height: Math.max(160, box.clientHeight - 40) });
    const options = optionsOf(columns, choice, points, zone, (value) => formatNumber(value, language));
    const plot = new uPlot({ ...options, ...size() }, [points.x, ...points.y], box);
    const watch = new ResizeObserver(() => plot.setSize(size()));
    watch.observe(box);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [points, columns, choice, zone, dark, language]);
  return <div ref={place} className={styles.plot} aria-hidden />;
}

const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function optionsOf(columns: Column[], choice: Choice, points: Points, zone: string, figure: (value: number) => string) {
  const kind = columns[choice.x]?.kind ?? "other";
  const axis = axisOf(kind);
  const lines = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line") },
  };
  const word = (at: number) => points.labels[at] ?? "";
  const paths = choice.shape === "bar" ? uPlot.paths.bars?.({ size: [0.75, 64] }) : undefined;
  const series: uPlot.Series[] = choice.y.map((column, at) => ({
    label: columns[column]?.name ?? "",
    stroke: colour(`--series-${at + 1}`),
    ...(choice.shape === "bar" ? { fill: colour(`--series-${at + 1}`) } : { width: 2 }),
    points: { show: choice.shape === "line" && points.x.length < 100 },
    value: (_plot, value) => (value === null ? "–" : figure(value)),
    ...(paths ? { paths } : {}),
  }));
  const first: uPlot.Series = {
    label: columns[choice.x]?.name ?? "",
    ...(axis === "words" ? { value: (_plot, value) => (value === null ? "–" : word(value)) } : {}),
  };
  const words: uPlot.Axis = {
    values: (_plot, places) => places.map((at) => (Number.isInteger(at) ? word(at).slice(0, 16) : "")),
    incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
    space: 80,
  };
  const range = (_plot: uPlot, least: number, most: number): uPlot.Range.MinMax => [least - 0.5, most + 0.5];
  const fromZero = (_plot: uPlot, least: number, most: number): uPlot.Range.MinMax => [
    Math.min(0, least),
    most > 0 ? most * 1.05 : 0,
  ];
  return {
    tzDate: (seconds: number) => uPlot.tzDate(new Date(seconds * 1000), kind === "timestamp" ? zone : "UTC"),
    scales: {
      x: { time: axis === "time", ...(axis === "words" ? { range } : {}) },
      ...(choice.shape === "bar" ? { y: { range: fromZero } } : {}),
    },
    axes: [
      { ...lines, ...(axis === "words" ? words : {}) },
      { ...lines, size: 76, values: (_plot: uPlot, values: number[]) => values.map(figure) },
    ],
    series: [first, ...series],
  } satisfies Partial<uPlot.Options>;
}
