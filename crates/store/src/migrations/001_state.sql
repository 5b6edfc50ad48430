-- The first format: settings, tokens, sync, cached schemas. Times are microseconds since 1970 UTC.

CREATE TABLE kv (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL,
    hash         BLOB    NOT NULL CHECK (length(hash) = 32),
    scram        TEXT    NOT NULL,
    owner        TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    created_us   INTEGER NOT NULL,
    expires_us   INTEGER,
    last_used_us INTEGER,
    revoked_us   INTEGER
) STRICT;

-- A name is free again once its token is revoked; history stays.
CREATE UNIQUE INDEX tokens_name_live ON tokens (name) WHERE revoked_us IS NULL;

CREATE TABLE sync_sources (
    source            TEXT PRIMARY KEY,
    system_identifier TEXT,
    timeline          INTEGER,
    slot              TEXT,
    generation        TEXT,
    acknowledged      TEXT,
    last_error        TEXT,
    updated_us        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_tables (
    source       TEXT    NOT NULL,
    schema_name  TEXT    NOT NULL,
    table_name   TEXT    NOT NULL,
    oid          INTEGER NOT NULL,
    dataset      TEXT    NOT NULL,
    lake_table   TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    detail       TEXT    NOT NULL,
    reason       TEXT,
    fix          TEXT,
    rows_copied  INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL,
    PRIMARY KEY (source, schema_name, table_name)
) STRICT, WITHOUT ROWID;

CREATE INDEX sync_tables_lake ON sync_tables (dataset, lake_table);

CREATE TABLE schema_cache (
    source  TEXT PRIMARY KEY,
    tables  TEXT    NOT NULL,
    seen_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
