-- Runs of marts: what was asked, where each mart stands, everything that happened, and what checks found.
-- Times are microseconds since 1970-01-01 UTC. States and events are the words of crates/flow/src/state.rs.

CREATE TABLE flow_runs (
    run        INTEGER PRIMARY KEY AUTOINCREMENT,
    reason     TEXT    NOT NULL,             -- manual | schedule | catch_up
    requested  TEXT    NOT NULL,             -- what was asked for, in the asker's words
    state      TEXT    NOT NULL,             -- running | done | failed | cancelled | interrupted
    epoch      INTEGER NOT NULL,             -- process that runs it
    cut        TEXT,                         -- JSON: pinned versions; null until they are pinned
    started_us INTEGER NOT NULL,
    ended_us   INTEGER
) STRICT;
CREATE INDEX flow_runs_by_state ON flow_runs (state);

CREATE TABLE flow_nodes (
    run         INTEGER NOT NULL REFERENCES flow_runs (run) ON DELETE CASCADE,
    mart        TEXT    NOT NULL,            -- dataset.table
    kind        TEXT    NOT NULL,            -- table | view
    fingerprint TEXT    NOT NULL,            -- of the SQL and kind that the run was planned with
    state       TEXT    NOT NULL,
    cause       TEXT,                        -- why, one line: `check unique(id)`, `upstream staging.orders`
    problem     TEXT,                        -- JSON, the whole problem behind a bad end
    attempt     INTEGER,                     -- the latest
    tries       INTEGER NOT NULL DEFAULT 0,  -- attempts begun since the run began or was resumed
    rows        INTEGER,
    bytes       INTEGER,
    version     INTEGER,                     -- Delta version published; null for views
    started_us  INTEGER,                     -- of the latest attempt
    ended_us    INTEGER,
    PRIMARY KEY (run, mart)
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_nodes_by_mart ON flow_nodes (mart, run);

CREATE TABLE flow_events (
    event_id   INTEGER PRIMARY KEY,
    run        INTEGER NOT NULL REFERENCES flow_runs (run) ON DELETE CASCADE,
    mart       TEXT    NOT NULL,
    at_us      INTEGER NOT NULL,
    event      TEXT    NOT NULL,
    from_state TEXT    NOT NULL,
    to_state   TEXT    NOT NULL,
    attempt    INTEGER,
    cause      TEXT
) STRICT;
CREATE INDEX flow_events_by_run ON flow_events (run, mart, event_id);

CREATE TABLE flow_verdicts (
    run        INTEGER NOT NULL REFERENCES flow_runs (run) ON DELETE CASCADE,
    mart       TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    check_name TEXT    NOT NULL,
    severity   TEXT    NOT NULL,             -- block | warn
    outcome    TEXT    NOT NULL,             -- pass | warn | block | error
    failing    INTEGER NOT NULL,
    detail     TEXT,
    sql        TEXT    NOT NULL,
    sample     TEXT    NOT NULL,             -- JSON array of a few failing rows
    elapsed_ms INTEGER NOT NULL,
    PRIMARY KEY (run, mart, attempt, check_name)
) STRICT, WITHOUT ROWID;

-- The query of every view that passed its checks: what SQL expands, whatever the file says meanwhile.
CREATE TABLE flow_views (
    mart         TEXT    PRIMARY KEY,
    sql          TEXT    NOT NULL,
    fingerprint  TEXT    NOT NULL,
    columns      TEXT    NOT NULL,           -- JSON array of {name, sql_type}
    reads        TEXT    NOT NULL,           -- JSON array of dataset.table
    run          INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    published_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When each scheduled mart was last started by its schedule.
CREATE TABLE flow_schedules (
    mart          TEXT    PRIMARY KEY,
    last_fired_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- attempt: rises over restarts and restored backups, the larger of the clock and the last one plus one.
-- epoch: rises with every process that runs marts, so that runs of a dead one are recognised.
CREATE TABLE flow_counters (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO flow_counters VALUES ('attempt', 0), ('epoch', 0);
