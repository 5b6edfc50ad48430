-- Subscriptions over topics, and what doors keep for their protocols. Offsets count events from 0, times are
-- microseconds since 1970-01-01 UTC.

CREATE TABLE subscriptions (
    name       TEXT    PRIMARY KEY,
    topic      INTEGER NOT NULL,     -- its number on the log
    topic_name TEXT    NOT NULL,
    settings   TEXT    NOT NULL,     -- JSON: how it behaves (crates/topics/src/subscribe/settings.rs)
    config     BLOB    NOT NULL,     -- as the door that made it wrote it, for that door only
    state      BLOB    NOT NULL,     -- what was acknowledged (crates/topics/src/subscribe/deliveries/saved.rs)
    made_us    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE subscription_snapshots (
    name       TEXT    PRIMARY KEY,
    topic      INTEGER NOT NULL,
    topic_name TEXT    NOT NULL,
    config     BLOB    NOT NULL,
    state      BLOB    NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a protocol says of a topic beyond its name; topics without an entry have defaults.
CREATE TABLE pubsub_topics (
    name   TEXT PRIMARY KEY,
    config BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Every revision of every schema of that protocol, in the order they were made.
CREATE TABLE pubsub_schemas (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT    NOT NULL,
    config   BLOB    NOT NULL
) STRICT;
CREATE INDEX pubsub_schemas_by_name ON pubsub_schemas (name, revision);
