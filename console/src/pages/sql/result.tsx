// The answer of a sheet's run: its state, the mistake where there is one, the rows as a table or a chart, and ways out of
// here (copy, download).

import { ChartLine, Copy, Search, Table2, WrapText } from "lucide-react";
import { lazy, Suspense, useRef, useState } from "react";
import { navigate } from "../../app/router";
import { routes } from "../../app/routes";
import { Grid, type GridHandle } from "../../grid/grid";
import { useLanguage, useText } from "../../i18n";
import { formatNumber } from "../../i18n/format";
import { Button, Empty, IconButton, Loading, Menu, MenuItem, Notice, ProblemBox } from "../../ui";
import { isOver, type Query } from "./api";
import { DownloadAnswer, type Downloading, DownloadMenu, useDownload } from "./download";
import { FirstRun } from "./first-run";
import { shownTitle } from "./names";
import { RunState } from "./run-state";
import type { Run, Sheet } from "./sheets";
import styles from "./sql.module.css";
import { sqlText } from "./text";

const Chart = lazy(() => import("../../chart/chart"));

export interface ResultProps {
  sheet: Sheet;
  onRun: () => void;
  onExample: (sql: string) => void;
  /** Where the mistake is in the sheet; missing when the text has changed since. */
  mistake: { line: number; show: () => void } | undefined;
}

export function Result({ sheet, onRun, onExample, mistake }: ResultProps) {
  const text = useText(sqlText);
  const { run } = sheet;
  if (!run) {
    if (sheet.sql.trim() === "") return <FirstRun onExample={onExample} onConnect={connectOf()} />;
    return (
      <div className={styles.blank}>
        <Empty title={text.notRun} hint={text.notRunHint} />
      </div>
    );
  }
  return (
    <section className={styles.result} aria-label={text.result}>
      {run.error !== undefined && <ProblemBox error={run.error} onRetry={onRun} />}
      {!run.query && run.error === undefined && <Loading label={text.starting} />}
      {run.query && (
        <Answer run={run} query={run.query} title={shownTitle(sheet, "")} onRun={onRun} mistake={mistake} />
      )}
    </section>
  );
}

/** The way to connect a database, where this console has it. */
function connectOf(): (() => void) | undefined {
  const sync = routes.find((route) => route.name === "sync");
  return sync && (() => navigate(sync.paths[0]));
}

type AnswerProps = { run: Run; query: Query; title: string } & Pick<ResultProps, "onRun" | "mistake">;

function Answer({ run, query, title, onRun, mistake }: AnswerProps) {
  const text = useText(sqlText);
  const [shown, setShown] = useState<"table" | "chart">("table");
  const [wrapped, setWrapped] = useState(false);
  const downloading = useDownload(query.id, title);
  const grid = useRef<GridHandle>(null);
  const { columns } = query;
  const hasRows = columns !== null && columns.length > 0 && run.pages !== null;
  return (
    <>
      <div className={styles.head}>
        <RunState query={query} />
        {hasRows && (
          <div className={styles.tools}>
            <IconButton
              small
              label={text.find}
              icon={Search}
              onPress={() => grid.current?.find()}
              isDisabled={shown !== "table"}
            />
            <IconButton
              small
              label={text.wrap}
              icon={WrapText}
              aria-pressed={wrapped}
              onPress={() => setWrapped(!wrapped)}
              isDisabled={shown !== "table"}
            />
            <Button
              small
              kind="quiet"
              icon={shown === "table" ? ChartLine : Table2}
              onPress={() => setShown(shown === "table" ? "chart" : "table")}
            >
              {shown === "table" ? text.chart : text.table}
            </Button>
            <Menu
              trigger={
                <Button small kind="quiet" icon={Copy} isDisabled={shown !== "table"}>
                  {text.copy}
                </Button>
              }
            >
              <MenuItem onAction={() => grid.current?.copy(false)}>{text.copyPlain}</MenuItem>
              <MenuItem onAction={() => grid.current?.copy(true)}>{text.copyHeaders}</MenuItem>
            </Menu>
            <DownloadMenu query={query} downloading={downloading} />
          </div>
        )}
      </div>
      <div className={styles.words}>
        <Words run={run} query={query} downloading={downloading} onRun={onRun} mistake={mistake} />
        <DownloadAnswer downloading={downloading} />
      </div>
      {hasRows && run.pages && shown === "table" && (
        <div className={styles.rows}>
          <Grid
            ref={grid}
            key={query.id}
            label={text.result}
            columns={columns}
            pages={run.pages}
            rows={query.rows}
            growing={!isOver(query.state)}
            zone={query.time_zone}
            wrapped={wrapped}
          />
        </div>
      )}
      {hasRows && run.pages && shown === "chart" && (
        <Suspense fallback={<Loading label={text.chart} />}>
          <Chart columns={columns} pages={run.pages} rows={query.rows} zone={query.time_zone} />
        </Suspense>
      )}
    </>
  );
}

type WordsProps = Omit<AnswerProps, "title"> & { downloading: Downloading };

/** Everything that must be said of an answer besides its rows. */
function Words({ run, query, downloading, onRun, mistake }: WordsProps) {
  const text = useText(sqlText);
  const { language } = useLanguage();
  const figure = (value: number) => formatNumber(value, language);
  const { state, problem, rows, rows_total: all } = query;
  const capped = state === "done" && all !== null && rows < all && query.columns !== null;
  return (
    <>
      {run.broken && !isOver(state) && <Notice tone="warn">{text.broken}</Notice>}
      {problem && state !== "cancelled" && (
        <div className={styles.problem}>
          <ProblemBox problem={problem} onRetry={onRun} />
          {mistake && (
            <Button small onPress={mistake.show}>
              {text.goToMistake(mistake.line)}
            </Button>
          )}
        </div>
      )}
      {state === "timed_out" && <Notice tone="warn">{text.timedOutHint}</Notice>}
      {state === "cancelled" && (
        <Notice
          tone="off"
          action={
            <Button small onPress={onRun}>
              {text.rerun}
            </Button>
          }
        >
          {text.cancelledHint} {rows > 0 && text.partial(figure(rows))}
        </Notice>
      )}
      {(state === "failed" || state === "timed_out") && rows > 0 && (
        <Notice tone="warn">{text.partial(figure(rows))}</Notice>
      )}
      {capped && (
        <Notice
          tone="info"
          action={
            <Button small onPress={() => downloading.begin({ format: "csv", part: "kept" })}>
              {text.cappedPart(figure(rows))}
            </Button>
          }
        >
          {text.capped(figure(rows), figure(all))}
        </Notice>
      )}
      {state === "done" && !query.columns?.length && <Notice tone="good">{text.finished}</Notice>}
    </>
  );
}
