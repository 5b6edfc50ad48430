// Ready texts for a token: what to paste into psql, DBeaver, Python, curl.

export interface Wire {
  host: string;
  port: number;
  database: string;
}

/** The URL of the Postgres wire; every part is escaped, for e-mails and Korean names are in it. */
export function postgresUrl(user: string, token: string, wire: Wire): string {
  const host = wire.host.includes(":") ? `[${wire.host}]` : wire.host;
  const part = encodeURIComponent;
  return `postgres://${part(user)}:${part(token)}@${host}:${wire.port}/${part(wire.database)}`;
}

export function psql(url: string): string {
  return `psql '${url}'`;
}

export function python(url: string): string {
  return [
    "# pip install 'psycopg[binary]' pandas sqlalchemy",
    "import pandas, sqlalchemy",
    `engine = sqlalchemy.create_engine("${url.replace(/^postgres:/, "postgresql+psycopg:")}")`,
    'print(pandas.read_sql("SELECT 1 AS one", engine))',
  ].join("\n");
}

export function curl(origin: string, token: string): string {
  return `curl -H 'Authorization: Bearer ${token}' ${origin}/api/v1/me`;
}
