// Shapes of `/api/v1/sources`, by their names in the API's document.

import type { components } from "../../api/schema";

type Schemas = components["schemas"];
export type SourceList = Schemas["SourceList"];
export type SourceView = Schemas["SourceView"];
export type SyncedTable = Schemas["SyncedTable"];
export type Impact = Schemas["TableImpact"];
export type CheckedDraft = Schemas["SourceCheckedDraft"];
export type Draft = Schemas["SourceDraft"];
export type WorkView = Schemas["WorkView"];
