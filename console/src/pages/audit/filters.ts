// The filters of the audit as they stand in the URL, and as the API takes them.

export const FILTERS = ["account", "table", "text", "action", "door", "result", "from", "to"] as const;
export type FilterName = (typeof FILTERS)[number];
export type Filters = Record<FilterName, string>;

export interface AuditQuery {
  account?: string;
  table?: string;
  text?: string;
  action?: string;
  door?: string;
  failed?: boolean;
  from?: string;
  to?: string;
}

/** What the API is asked. A date without a time is its beginning in UTC; what is no moment is left as it is for the API to refuse. */
export function toQuery(filters: Filters): AuditQuery {
  const query: AuditQuery = {};
  for (const name of ["account", "table", "text", "action", "door"] as const) {
    const value = filters[name].trim();
    if (value) query[name] = value;
  }
  if (filters.result) query.failed = filters.result === "failed";
  for (const name of ["from", "to"] as const) {
    const value = filters[name].trim();
    if (value) query[name] = moment(value);
  }
  return query;
}

function moment(text: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return `${text}T00:00:00Z`;
  if (/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$/.test(text)) return `${text}:00Z`;
  return text;
}

/** The address of the file with the same filters. */
export function exportPath(filters: Filters, reason: string): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(toQuery(filters))) search.set(name, String(value));
  if (reason.trim()) search.set("reason", reason.trim());
  const text = search.toString();
  return `/api/v1/audit/export${text && `?${text}`}`;
}
