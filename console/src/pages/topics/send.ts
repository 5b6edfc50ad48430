// How to send events to a topic, with this naru's real address. Text that can be pasted as it is.

import type { ColumnView, Doors } from "./types";

/** A value that fits a column of this type. */
function sample(type: string): unknown {
  const name = type.toUpperCase();
  if (name.startsWith("ARRAY<")) return [sample(name.slice(6, -1))];
  if (name.startsWith("STRUCT")) return {};
  if (name.startsWith("INT64")) return 1;
  if (name.startsWith("FLOAT64")) return 1.5;
  if (name.startsWith("NUMERIC") || name.startsWith("BIGNUMERIC")) return "1.50";
  if (name.startsWith("BOOL")) return true;
  if (name.startsWith("TIMESTAMP")) return "2026-11-23T09:00:00+09:00";
  if (name.startsWith("DATETIME")) return "2026-11-23T09:00:00";
  if (name.startsWith("DATE")) return "2026-11-23";
  if (name.startsWith("TIME")) return "09:00:00";
  if (name.startsWith("BYTES")) return "aGVsbG8=";
  if (name.startsWith("JSON")) return { any: "value" };
  return "text";
}

/** An event that fits: the required columns, and a few more. */
export function exampleEvent(columns: ColumnView[]): Record<string, unknown> {
  const wanted = [...columns.filter((column) => column.required), ...columns.filter((column) => !column.required)];
  return Object.fromEntries(wanted.slice(0, 6).map((column) => [column.name, sample(column.sql_type)]));
}

export interface Snippet {
  id: string;
  label: string;
  text: string;
}

const KEY = "naru_…";

export function snippets(topic: string, doors: Doors, columns: ColumnView[]): Snippet[] {
  const event = JSON.stringify(exampleEvent(columns));
  const found: Snippet[] = [];
  if (doors.http) {
    const url = `${doors.http}/v1/ingest/${encodeURIComponent(topic)}`;
    found.push(
      {
        id: "curl",
        label: "curl",
        text: `curl -X POST '${url}' \\\n  -H 'Authorization: Bearer ${KEY}' \\\n  -H 'Content-Type: application/json' \\\n  -d '${event.replaceAll("'", "'\\''")}'`,
      },
      {
        id: "fetch",
        label: "JavaScript",
        text: `await fetch("${url}", {\n  method: "POST",\n  headers: { authorization: "Bearer ${KEY}", "content-type": "application/json" },\n  body: JSON.stringify(${event}),\n});`,
      },
      {
        id: "python",
        label: "Python",
        text: `import requests\n\nrequests.post(\n    "${url}",\n    headers={"Authorization": "Bearer ${KEY}"},\n    json=${python(JSON.parse(event))},\n).raise_for_status()`,
      },
    );
  }
  if (doors.pubsub) {
    found.push({
      id: "pubsub",
      label: "Pub/Sub (Python)",
      text: `# PUBSUB_EMULATOR_HOST=${doors.pubsub}\nfrom google.cloud import pubsub_v1\n\npublisher = pubsub_v1.PublisherClient()\ntopic = publisher.topic_path("${doors.project}", "${topic}")\npublisher.publish(topic, b'${event.replaceAll("'", "\\'")}').result()`,
    });
  }
  found.push({ id: "naru", label: "naru", text: `echo '${event.replaceAll("'", "'\\''")}' | naru publish ${topic}` });
  return found;
}

function python(value: unknown): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") {
    const pairs = Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${python(each)}`);
    return `{${pairs.join(", ")}}`;
  }
  return JSON.stringify(value);
}
