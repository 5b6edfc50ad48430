// Text of a machine: SQL, commands, errors. Scrolls in its own box and can be copied.

import styles from "./code.module.css";
import { CopyButton } from "./copy";

export interface CodeBlockProps {
  text: string;
  /** Read aloud: what it is. */
  label: string;
  /** Lines, from 1, that stand out (the line of an error). */
  marked?: number[];
  numbered?: boolean;
}

export function CodeBlock({ text, label, marked, numbered }: CodeBlockProps) {
  const lines = text.replace(/\n$/, "").split("\n");
  return (
    <div className={styles.code}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section className={styles.scroll} tabIndex={0} aria-label={label}>
        <pre data-numbered={numbered || undefined}>
          {lines.map((line, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: lines are what they are by their place
            <code key={at} data-marked={marked?.includes(at + 1) || undefined}>
              {line}
              {"\n"}
            </code>
          ))}
        </pre>
      </section>
      <div className={styles.copy}>
        <CopyButton text={text} />
      </div>
    </div>
  );
}
