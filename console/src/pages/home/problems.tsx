// What is wrong, the worst first. j and k go through it, Enter opens.

import { CircleAlert, Network, TriangleAlert, UsersRound } from "lucide-react";
import { useRef, useState } from "react";
import { Link, pathOf } from "../../app/router";
import { useShortcuts } from "../../app/shortcuts";
import { useLanguage, useText } from "../../i18n";
import { formatBytes, formatSpan } from "../../i18n/format";
import { koreanProblem } from "../../i18n/problems";
import { Button, Marked, Status, Time } from "../../ui";
import styles from "./home.module.css";
import { homeText } from "./text";
import type { HomeProblem } from "./types";

const SHOWN_FIRST = 20;

/** Where one goes to see more of it, and to mend it. */
export function pathTo(problem: HomeProblem): string | undefined {
  const [dataset = "", table = ""] = problem.object.split(".");
  switch (problem.kind) {
    case "source":
    case "source_warning":
      return `/sync?source=${encodeURIComponent(problem.object)}`;
    case "table":
    case "late":
      return pathOf("sync", problem.within ?? dataset, problem.object);
    case "mart":
      return problem.run ? pathOf("runs", String(problem.run)) : pathOf("marts", problem.object);
    case "check":
      return pathOf("marts", problem.object);
    case "dead_letters":
      return pathOf("topics", problem.object, "dead");
    case "topic":
    case "forward":
      return pathOf("topics", problem.object);
    case "upkeep":
      return pathOf("catalog", dataset, table);
    default:
      return undefined;
  }
}

export function Problems({ problems }: { problems: HomeProblem[] }) {
  const text = useText(homeText);
  const [all, setAll] = useState(false);
  const list = useRef<HTMLUListElement>(null);
  const step = (by: number) => {
    const links = [...(list.current?.querySelectorAll<HTMLAnchorElement>("a") ?? [])];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
  };
  useShortcuts([
    { keys: "j", label: text.next, run: () => step(1) },
    { keys: "k", label: text.previous, run: () => step(-1) },
  ]);
  if (problems.length === 0) {
    return (
      <div className={styles.well}>
        <Status tone="good">{text.noProblems}</Status>
      </div>
    );
  }
  const shown = all ? problems : problems.slice(0, SHOWN_FIRST);
  return (
    <>
      <ul className={styles.problems} ref={list}>
        {shown.map((problem) => (
          <Line
            key={`${problem.kind} ${problem.object} ${problem.within} ${problem.problem?.code}`}
            problem={problem}
          />
        ))}
      </ul>
      {shown.length < problems.length && (
        <div>
          <Button onPress={() => setAll(true)}>{text.more(problems.length - shown.length)}</Button>
        </div>
      )}
    </>
  );
}

function Line({ problem }: { problem: HomeProblem }) {
  const text = useText(homeText);
  const isBad = problem.severity === "bad";
  const Icon = isBad ? CircleAlert : TriangleAlert;
  const path = pathTo(problem);
  const title = text.kinds[problem.kind](problem.object);
  return (
    <li className={styles.problem} data-bad={isBad || undefined}>
      <Icon size={18} aria-label={isBad ? text.bad : text.warn} role="img" />
      <div className={styles.words}>
        <div className={styles.what}>{path ? <Link to={path}>{title}</Link> : title}</div>
        <Why problem={problem} />
      </div>
      <Touched problem={problem} />
    </li>
  );
}

function Why({ problem }: { problem: HomeProblem }) {
  const text = useText(homeText);
  const { language } = useLanguage();
  const facts: string[] = [];
  if (problem.kind === "late" && problem.count != null) facts.push(text.lagOf(formatSpan(problem.count, language)));
  if (problem.kind === "dead_letters" && problem.count != null) facts.push(text.events(problem.count));
  if (problem.kind === "disk" && problem.count != null) facts.push(text.free(formatBytes(problem.count, language)));
  if (problem.kind === "check" && problem.within) facts.push(text.checks(problem.within));
  if (problem.kind === "forward" && problem.within) facts.push(text.forwardTo(problem.within));
  const said = problem.problem;
  const korean = said && language === "ko" ? koreanProblem(said) : undefined;
  const hint = korean?.hint ?? said?.hint;
  const place = said?.place ? `${said.place.file}:${said.place.line}:${said.place.column}` : undefined;
  return (
    <div className={styles.why}>
      {facts.map((fact) => (
        <p key={fact}>{fact}</p>
      ))}
      {said && (
        <p>
          <Marked text={korean?.summary ?? [said.summary, said.detail].filter(Boolean).join(". ")} />
        </p>
      )}
      {korean && said?.detail && (
        <p lang="en">
          <Marked text={said.detail} />
        </p>
      )}
      {place && (
        <p>
          <code>{place}</code>
        </p>
      )}
      {hint && (
        <p className={styles.hint}>
          <Marked text={hint} />
        </p>
      )}
      {problem.since && (
        <p>
          <Time at={problem.since} ago />
        </p>
      )}
    </div>
  );
}

function Touched({ problem }: { problem: HomeProblem }) {
  const text = useText(homeText);
  if (problem.readers === 0 && problem.marts === 0) return null;
  return (
    <div className={styles.touched}>
      {problem.readers > 0 && (
        <span title={text.readersHint}>
          <UsersRound size={14} aria-hidden /> {text.readers(problem.readers)}
        </span>
      )}
      {problem.marts > 0 && (
        <span>
          <Network size={14} aria-hidden /> {text.martsBelow(problem.marts)}
        </span>
      )}
    </div>
  );
}
