// Shapes of `/api/v1/marts` and `/api/v1/runs`, by their names in the API's document.

import type { components } from "../../api/schema";

type Schemas = components["schemas"];
export type MartList = Schemas["MartList"];
export type MartItem = Schemas["MartItem"];
export type MartView = Schemas["MartView"];
export type Cell = Schemas["RunCell"];
export type RunView = Schemas["RunView"];
export type NodeView = Schemas["RunNode"];
export type Plan = Schemas["RunPlan"];
