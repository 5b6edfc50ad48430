-- Topics that have no file, and what the columns of those with a file were from which event on.

-- Made over a door and not by a file of topics/.
CREATE TABLE topic_made (
    topic   INTEGER PRIMARY KEY,
    made_us INTEGER NOT NULL
) STRICT;

-- One row for every change of a topic's columns; revisions count from 1.
CREATE TABLE topic_revisions (
    topic    INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    columns  TEXT    NOT NULL,  -- JSON: [{"name": …, "type": …, "required": …}]
    noted_us INTEGER NOT NULL,
    PRIMARY KEY (topic, revision)
) STRICT, WITHOUT ROWID;
