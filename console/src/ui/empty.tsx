// Nothing here yet: what this place is for, and exactly one next step.

import type { ReactNode } from "react";
import { navigate } from "../app/router";
import { Button } from "./button";
import styles from "./empty.module.css";

export interface EmptyProps {
  title: string;
  hint?: ReactNode;
  action?: { label: string } & ({ to: string } | { run: () => void });
}

export function Empty({ title, hint, action }: EmptyProps) {
  return (
    <div className={styles.empty}>
      <h2>{title}</h2>
      {hint && <div className={styles.hint}>{hint}</div>}
      {action && (
        <Button kind="primary" onPress={() => ("to" in action ? navigate(action.to) : action.run())}>
          {action.label}
        </Button>
      )}
    </div>
  );
}
