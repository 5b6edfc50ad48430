-- Offsets of topics that may have been given: the log gives none beyond without noting more here first. So a log that is
-- made anew, because the old one was lost, goes on behind every offset that was ever given.

CREATE TABLE topic_reserved (
    topic    INTEGER PRIMARY KEY,
    reserved INTEGER NOT NULL   -- one past the last
) STRICT;
