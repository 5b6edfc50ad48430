// Work under way. A percentage only when the whole is known.

import { useLanguage } from "../i18n";
import { formatNumber } from "../i18n/format";
import styles from "./progress.module.css";

/** Shown after a moment only, so that what is fast does not flicker. */
export function Loading({ label, whole }: { label: string; whole?: boolean }) {
  return (
    <div className={styles.loading} data-loading data-whole={whole || undefined} role="status">
      <span className={styles.spinner} aria-hidden />
      <span>{label}</span>
    </div>
  );
}

export interface ProgressProps {
  label: string;
  done: number;
  /** Unknown while undefined: then only `done` is told. */
  of?: number | undefined;
}

export function Progress({ label, done, of }: ProgressProps) {
  const { language } = useLanguage();
  const share = of && of > 0 ? Math.min(1, done / of) : undefined;
  const figure =
    share === undefined
      ? formatNumber(done, language)
      : `${Math.floor(share * 100)} % (${formatNumber(done, language)})`;
  return (
    <div className={styles.progress}>
      <div className={styles.words}>
        <span>{label}</span>
        <span className="number">{figure}</span>
      </div>
      <progress aria-label={label} {...(share === undefined ? {} : { value: share, max: 1 })} />
    </div>
  );
}
