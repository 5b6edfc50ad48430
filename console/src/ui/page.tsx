// The frame of a page: title, what it says in one line, actions; panels; pairs of name and value.

import type { ReactNode } from "react";
import { Titled } from "./empty";
import styles from "./page.module.css";

export interface PageProps {
  title: ReactNode;
  /** One line under the title: as of when, where it belongs. */
  under?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

export function Page({ title, under, actions, children }: PageProps) {
  return (
    <div className={styles.page}>
      <div className={styles.head}>
        <div className={styles.title}>
          <h1>{title}</h1>
          {under && <div className={styles.under}>{under}</div>}
        </div>
        {actions && <Toolbar>{actions}</Toolbar>}
      </div>
      <Titled value={true}>{children}</Titled>
    </div>
  );
}

/** Buttons and filters in a row; wraps on small screens. */
export function Toolbar({ children }: { children: ReactNode }) {
  return <div className={styles.toolbar}>{children}</div>;
}

/** A part of a page with its own heading; fails by itself. */
export function Panel({ title, actions, children }: { title?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  return (
    <section className={styles.panel}>
      {(title || actions) && (
        <div className={styles.panelHead}>
          {title && <h2>{title}</h2>}
          {actions && <Toolbar>{actions}</Toolbar>}
        </div>
      )}
      {children}
    </section>
  );
}

/** A surface with a border, for what is neither table nor text. */
export function Card({ children }: { children: ReactNode }) {
  return <div className={styles.card}>{children}</div>;
}

/** Names and values. */
export function Pairs({ items }: { items: [name: string, value: ReactNode][] }) {
  return (
    <dl className={styles.pairs}>
      {items.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A few figures side by side. */
export function Figures({ items }: { items: { name: string; value: ReactNode; note?: ReactNode }[] }) {
  return (
    <dl className={styles.figures}>
      {items.map((item) => (
        <div key={item.name}>
          <dt>{item.name}</dt>
          <dd>{item.value}</dd>
          {item.note && <dd className={styles.note}>{item.note}</dd>}
        </div>
      ))}
    </dl>
  );
}
