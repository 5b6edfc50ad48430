// Shapes of `/api/v1/topics`, by their names in the API's document; those of the live tail are the stream's own.

import type { components } from "../../api/schema";

type Schemas = components["schemas"];
export type TopicList = Schemas["TopicList"];
export type TopicItem = Schemas["TopicItem"];
export type TopicView = Schemas["TopicView"];
export type Doors = Schemas["IntakeDoors"];
export type ColumnView = Schemas["TopicColumn"];
export type Group = Schemas["DeadGroup"];
export type Kind = Schemas["DeadKind"];
export type LetterView = Schemas["DeadLetter"];
export type WorkView = Schemas["WorkView"];

/** One event of the live tail. */
export interface TailEvent {
  offset: number;
  at: string;
  key: string;
  attributes: [string, string][];
  text: string | null;
  base64: string | null;
  bytes: number;
}

/** What the live tail sends. */
export interface Lot {
  events: TailEvent[];
  next: number;
  end: number;
  passed: number;
  left_out: number;
}

/** What came of a replay, or would come of it. */
export interface Replayed {
  letters: number;
  fit: number;
  unjudged: number;
  unfit: number;
  unmended: number;
  worn: number;
  strange: number;
  in_table: number;
  faults: { id: number; why: string }[];
}
