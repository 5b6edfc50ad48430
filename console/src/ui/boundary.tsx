// Catches what a page throws: the rest of the console stays usable.

import { Component, type ReactNode } from "react";
import { ProblemBox } from "./problem";
import { Updated } from "./updated";

/** Chunks of an earlier build are gone after an update: then only a reload helps. */
const GONE = /dynamically imported module|Importing a module script failed|error loading dynamically/i;

export class Boundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: undefined as unknown };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    if (error instanceof Error && GONE.test(error.message)) return <Updated />;
    return <ProblemBox error={error} onRetry={() => this.setState({ error: undefined })} />;
  }
}
