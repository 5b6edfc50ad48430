// What the API says of rights, by its own names.

import type { components } from "../../api/schema";

type Schemas = components["schemas"];

export type AccessView = Schemas["AccessView"];
export type FileView = Schemas["FileView"];
export type GrantView = Schemas["GrantView"];
export type KnownView = Schemas["KnownView"];
export type PlanView = Schemas["PlanView"];
export type ChangeView = Schemas["ChangeView"];
export type WhyView = Schemas["WhyView"];
export type ReasonView = Schemas["ReasonView"];
