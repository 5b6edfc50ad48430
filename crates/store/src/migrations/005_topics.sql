-- Topics on the log: their numbers, how far readers have come, what was forgotten. Offsets count events from 0.

CREATE TABLE topics (
    topic INTEGER PRIMARY KEY AUTOINCREMENT,  -- stands in every frame on the log; never given again
    name  TEXT    NOT NULL UNIQUE
) STRICT;

CREATE TABLE topic_cursors (
    topic       INTEGER NOT NULL,
    reader      TEXT    NOT NULL,              -- a forward, a subscription, the table's sink
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, reader)
) STRICT, WITHOUT ROWID;

-- Events below the floor are forgotten; the floor is durable before a file goes.
CREATE TABLE topic_floors (
    topic INTEGER PRIMARY KEY,
    floor INTEGER NOT NULL
) STRICT;
