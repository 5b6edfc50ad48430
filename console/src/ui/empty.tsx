// Nothing here yet: what this place is for, and exactly one next step.

import { createContext, type ReactNode, useContext } from "react";
import { navigate } from "../app/router";
import { Button } from "./button";
import styles from "./empty.module.css";

export interface EmptyProps {
  title: string;
  hint?: ReactNode;
  action?: { label: string } & ({ to: string } | { run: () => void });
}

/** Whether a title stands above already. */
export const Titled = createContext(false);

export function Empty({ title, hint, action }: EmptyProps) {
  const Heading = useContext(Titled) ? "h2" : "h1";
  return (
    <div className={styles.empty}>
      <Heading>{title}</Heading>
      {hint && <div className={styles.hint}>{hint}</div>}
      {action && (
        <Button kind="primary" onPress={() => ("to" in action ? navigate(action.to) : action.run())}>
          {action.label}
        </Button>
      )}
    </div>
  );
}
