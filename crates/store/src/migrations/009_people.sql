-- People, the browsers they are signed in with, service accounts, and whose each token is. Times are microseconds
-- since 1970-01-01 UTC. Secrets are kept as SHA-256 only.

-- A person is what an issuer calls them; the e-mail may change, and another person may come to have it.
CREATE TABLE people (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    issuer       TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    email        TEXT    NOT NULL,   -- lower case, NFC
    shown        TEXT    NOT NULL,
    domain       TEXT,               -- as the issuer vouched for it
    created_us   INTEGER NOT NULL,
    vouched_us   INTEGER NOT NULL,   -- when the issuer last said that it is them
    displaced_us INTEGER,            -- another person came with this e-mail; until they sign in again
    left_us      INTEGER,            -- somebody said that they left; stays
    UNIQUE (issuer, subject)
) STRICT;
CREATE INDEX people_email ON people (email);

CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    person     INTEGER REFERENCES people (id),   -- null: the folder's owner, by a one-time link
    created_us INTEGER NOT NULL,
    used_us    INTEGER NOT NULL,                 -- to the minute
    address    TEXT    NOT NULL,
    client     TEXT    NOT NULL,                 -- shortened User-Agent
    ended_us   INTEGER
) STRICT;
CREATE INDEX sessions_person ON sessions (person) WHERE ended_us IS NULL;

CREATE TABLE services (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL,
    purpose    TEXT    NOT NULL,
    owner      INTEGER NOT NULL REFERENCES people (id),
    networks   TEXT    NOT NULL,                 -- addresses and networks it may come from, by spaces; empty: any
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    ended_us   INTEGER
) STRICT;
CREATE UNIQUE INDEX services_name_live ON services (name) WHERE ended_us IS NULL;

-- Tokens of the project have neither; a person's and a service's have names of their own.
ALTER TABLE tokens ADD COLUMN person INTEGER REFERENCES people (id);
ALTER TABLE tokens ADD COLUMN service INTEGER REFERENCES services (id);
DROP INDEX tokens_name_live;
CREATE UNIQUE INDEX tokens_name_live ON tokens (coalesce(person, 0), coalesce(service, 0), name)
    WHERE revoked_us IS NULL;
CREATE INDEX tokens_hash ON tokens (hash);
