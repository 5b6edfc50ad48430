-- Who asked what through which door, each row holding the hash of the one before. Times are microseconds since 1970 UTC.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    account TEXT NOT NULL,
    account_kind TEXT NOT NULL,
    door TEXT NOT NULL,
    address TEXT,
    client TEXT NOT NULL,
    action TEXT NOT NULL,
    sql TEXT,
    tables TEXT NOT NULL,
    rows INTEGER,
    bytes INTEGER,
    bytes_read INTEGER,
    took_us INTEGER,
    result TEXT NOT NULL,
    detail TEXT,
    reason TEXT,
    hash BLOB NOT NULL
) STRICT;

CREATE INDEX audit_at ON audit (at_us);
CREATE INDEX audit_account ON audit (account, id);
