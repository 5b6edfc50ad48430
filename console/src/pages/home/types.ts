import type { components } from "../../api/schema";

export type HomeView = components["schemas"]["HomeView"];
export type HomeProblem = components["schemas"]["HomeProblem"];
export type SourceLine = components["schemas"]["SourceLine"];
