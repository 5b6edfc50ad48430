// A summary with more beneath it, which is made when it is opened: what is folded away costs nothing and no Tab.

import { type ReactNode, useState } from "react";

export interface UnfoldProps {
  summary: ReactNode;
  /** Open from the beginning. */
  open?: boolean;
  className?: string | undefined;
  children: ReactNode;
}

export function Unfold({ summary, open = false, className, children }: UnfoldProps) {
  const [shown, show] = useState(open);
  return (
    <details open={shown} onToggle={(toggled) => show(toggled.currentTarget.open)} className={className}>
      <summary>{summary}</summary>
      {shown && children}
    </details>
  );
}
