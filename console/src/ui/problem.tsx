// An error for people: what, why, what next, the request's id, and a way to copy it all.

import { CircleAlert } from "lucide-react";
import { asProblem, type Problem } from "../api/problem";
import { useLanguage, useText } from "../i18n";
import { koreanProblem } from "../i18n/problems";
import { Button } from "./button";
import { CopyButton } from "./copy";
import { Marked } from "./marked";
import styles from "./problem.module.css";
import { uiText } from "./text";

export interface ProblemBoxProps {
  /** A thrown error, or a problem that is part of an answer. */
  error?: unknown;
  problem?: Problem;
  onRetry?: () => unknown;
  /** One line with a disclosure: for panels and rows. */
  small?: boolean;
}

export function ProblemBox({ error, problem: given, onRetry, small }: ProblemBoxProps) {
  const text = useText(uiText);
  const { language } = useLanguage();
  const problem = given ?? asProblem(error);
  const korean = language === "ko" ? koreanProblem(problem) : undefined;
  const { summary, hint } = korean ?? problem;
  const whole = [problem.summary, problem.detail, problem.hint, `code: ${problem.code}`, problem.request].filter(
    Boolean,
  );
  return (
    <div className={styles.box} role="alert" data-small={small || undefined}>
      <CircleAlert size={18} aria-hidden className={styles.icon ?? ""} />
      <div className={styles.words}>
        <strong>{summary}</strong>
        {!korean && problem.detail && (
          <p>
            <Marked text={problem.detail} />
          </p>
        )}
        {hint && (
          <p className={styles.hint}>
            <Marked text={hint} />
          </p>
        )}
        {korean && (
          <details>
            <summary>{text.original}</summary>
            <p lang="en">{problem.summary}</p>
            {problem.detail && <p lang="en">{problem.detail}</p>}
            {problem.hint && <p lang="en">{problem.hint}</p>}
          </details>
        )}
        <p className={styles.code}>
          <code>{problem.code}</code>
          {problem.request && (
            <span>
              {text.request} <code>{problem.request}</code>
            </span>
          )}
        </p>
      </div>
      <div className={styles.actions}>
        {onRetry && (
          <Button small onPress={() => onRetry()}>
            {text.retry}
          </Button>
        )}
        <CopyButton text={whole.join("\n")} label={text.copyProblem} />
      </div>
    </div>
  );
}
