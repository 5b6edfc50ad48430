-- Queries that people keep: drafts, saved ones, what they ran, and what is shared outside. Times are microseconds since
-- 1970-01-01 UTC. `who` is the principal as `warehouse::jobs` writes it: `owner`, `person:3`, `service:1`, `token:2`.

CREATE TABLE drafts (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    who        TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    sql        TEXT    NOT NULL,
    position   INTEGER NOT NULL,      -- its place among the tabs
    revision   INTEGER NOT NULL,      -- counts changes, so that two windows do not undo each other's
    query      TEXT,                  -- its last run
    saved      INTEGER,               -- the saved query it was opened from
    updated_us INTEGER NOT NULL
) STRICT;
CREATE INDEX drafts_who ON drafts (who, position);

CREATE TABLE saved_queries (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    sql         TEXT    NOT NULL,
    who         TEXT    NOT NULL,     -- whose it is
    owner       TEXT    NOT NULL,     -- their name, for eyes
    revision    INTEGER NOT NULL,
    created_us  INTEGER NOT NULL,
    updated_us  INTEGER NOT NULL
) STRICT;
CREATE INDEX saved_queries_who ON saved_queries (who, name);

-- Who else may see or change a saved query, in the words of access.toml: `group:analysts`, `domain:acme.kr`.
CREATE TABLE saved_query_grants (
    saved INTEGER NOT NULL REFERENCES saved_queries (id) ON DELETE CASCADE,
    to_whom TEXT  NOT NULL,
    can   TEXT    NOT NULL CHECK (can IN ('view', 'edit')),
    PRIMARY KEY (saved, to_whom)
) STRICT, WITHOUT ROWID;

CREATE TABLE query_history (
    id           TEXT    PRIMARY KEY,
    who          TEXT    NOT NULL,
    sql          TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    problem      TEXT,                -- its code
    rows         INTEGER,
    bytes_read   INTEGER NOT NULL,
    submitted_us INTEGER NOT NULL,
    started_us   INTEGER,
    ended_us     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX query_history_who ON query_history (who, submitted_us);

-- Addresses that give a saved query's rows to whoever knows them.
CREATE TABLE share_links (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    saved      INTEGER NOT NULL REFERENCES saved_queries (id) ON DELETE CASCADE,
    who        TEXT    NOT NULL,      -- with whose rights it runs
    sharer     TEXT    NOT NULL,      -- their name, for eyes
    name       TEXT    NOT NULL,      -- what it is for
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    rows_max   INTEGER NOT NULL,
    fresh_s    INTEGER NOT NULL,      -- rows younger than this are given again
    note       INTEGER NOT NULL,      -- whether a line above the header says how old and how complete it is
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    revoked_us INTEGER,
    query      TEXT,                  -- the run whose rows are given
    query_us   INTEGER,               -- when it began
    problem    TEXT,                  -- code of the last failure, empty after a success
    used_us    INTEGER,
    uses       INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Blocks in Google Sheets that hold a saved query's rows.
CREATE TABLE share_sheets (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    saved        INTEGER NOT NULL REFERENCES saved_queries (id) ON DELETE CASCADE,
    who          TEXT    NOT NULL,
    sharer       TEXT    NOT NULL,
    spreadsheet  TEXT    NOT NULL,    -- its id at Google
    sheet        TEXT    NOT NULL,    -- the title of the tab
    row          INTEGER NOT NULL,    -- where the block begins, from 0
    col          INTEGER NOT NULL,
    rows_max     INTEGER NOT NULL,
    schedule     TEXT    NOT NULL,    -- cron in the project's zone; empty: only when asked
    -- What may hold cells of ours: set to the larger of old and new before anything is written, to the new size after.
    block_rows   INTEGER NOT NULL DEFAULT 0,
    block_cols   INTEGER NOT NULL DEFAULT 0,
    created_us   INTEGER NOT NULL,
    fired_us     INTEGER NOT NULL,    -- the last time of its schedule that was acted on
    refreshed_us INTEGER,
    rows         INTEGER,
    rows_total   INTEGER,
    problem      TEXT                 -- the last failure as JSON, NULL after a success
) STRICT;
