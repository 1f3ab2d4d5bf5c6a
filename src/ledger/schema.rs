//! The tables, version by version.

use rusqlite::Connection;

/// Marks a database as a ledger of ours: `CIns` in ASCII.
pub(super) const APPLICATION: i32 = 0x4349_6E73;

/// The version this program writes.
pub(super) const VERSION: u32 = 3;

/// What leads to each version from the one before. A new version is a new entry; no entry ever changes.
const MIGRATIONS: [(u32, &str); 3] = [(1, FIRST), (2, TECHNIQUES), (3, SETTLED)];

const FIRST: &str = "
CREATE TABLE tenant (
    id            INTEGER PRIMARY KEY,
    source        TEXT NOT NULL,
    account       TEXT NOT NULL, -- a digest
    token         TEXT NOT NULL, -- a digest
    organizations TEXT NOT NULL, -- a sorted JSON array
    read_until    TEXT,
    UNIQUE (source, account, token, organizations)
) STRICT;

CREATE TABLE run (
    id          TEXT NOT NULL,
    tenant      INTEGER NOT NULL REFERENCES tenant (id),
    mode        TEXT NOT NULL,
    read_from   TEXT,
    read_until  TEXT,
    started_at  TEXT NOT NULL,
    finished_at TEXT,
    exit_code   INTEGER,
    counts      TEXT,
    error       TEXT,
    PRIMARY KEY (tenant, id),
    CHECK ((finished_at IS NULL) = (exit_code IS NULL))
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: the number of a settled row is never given to another one.
-- The rank puts the most severe first and those of unknown severity last.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     INTEGER NOT NULL REFERENCES tenant (id),
    run        TEXT NOT NULL,
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    severity   INTEGER,
    rank       INTEGER NOT NULL GENERATED ALWAYS AS (-ifnull(severity, -1)) VIRTUAL,
    item       TEXT NOT NULL,
    stored_at  TEXT NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    state      TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'quarantined')),
    status     INTEGER,
    words      TEXT,
    refused_at TEXT,
    CHECK ((state = 'quarantined') = (status IS NOT NULL)),
    CHECK ((state = 'quarantined') = (words IS NOT NULL)),
    CHECK ((state = 'quarantined') = (refused_at IS NOT NULL))
) STRICT;
CREATE INDEX outbox_order ON outbox (tenant, state, rank, id);

CREATE TABLE sighting (
    tenant       INTEGER NOT NULL REFERENCES tenant (id),
    detection    TEXT NOT NULL,
    kind         TEXT NOT NULL,
    value        TEXT NOT NULL,
    outbox       INTEGER REFERENCES outbox (id),
    delivered_at TEXT,
    dropped_at   TEXT,
    PRIMARY KEY (tenant, detection, kind, value),
    CHECK ((outbox IS NOT NULL) + (delivered_at IS NOT NULL) + (dropped_at IS NOT NULL) = 1)
) STRICT, WITHOUT ROWID;
CREATE INDEX sighting_outbox ON sighting (outbox) WHERE outbox IS NOT NULL;

CREATE TABLE quota (
    token TEXT NOT NULL, -- a digest
    day   TEXT NOT NULL,
    used  INTEGER NOT NULL,
    PRIMARY KEY (token, day)
) STRICT, WITHOUT ROWID;
";

/// A delivered item is deleted, so its techniques are counted when it is settled. Numbers a day rather than codes
/// beside each sighting: some thirty rows a day instead of a list on every one of 100,000 sightings, and a merged
/// submission's codes are not known detection by detection anyway.
const TECHNIQUES: &str = "
CREATE TABLE technique (
    tenant      INTEGER NOT NULL REFERENCES tenant (id),
    day         TEXT NOT NULL,
    code        TEXT NOT NULL,
    submissions INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, code)
) STRICT, WITHOUT ROWID;
";

/// Sightings lie by detection, so a batch that is settled is scattered over all of them: with their state in each row,
/// every batch rewrote nearly every page of the table. Now a sighting names its entry, and settling one
/// appends a row. Version 2 forgot the number of a settled entry; one below zero, which no row of the outbox ever has,
/// stands for all that were settled at the same time.
const SETTLED: &str = "
CREATE TABLE settled (
    id           INTEGER PRIMARY KEY,
    delivered_at TEXT,
    dropped_at   TEXT,
    CHECK ((delivered_at IS NULL) <> (dropped_at IS NULL))
) STRICT;
INSERT INTO settled (id, delivered_at, dropped_at)
SELECT -row_number() OVER (ORDER BY delivered_at, dropped_at), delivered_at, dropped_at
FROM (SELECT DISTINCT delivered_at, dropped_at FROM sighting WHERE outbox IS NULL);

ALTER TABLE sighting RENAME TO sighting_2;
CREATE TABLE sighting (
    tenant    INTEGER NOT NULL REFERENCES tenant (id),
    detection TEXT NOT NULL,
    kind      TEXT NOT NULL,
    value     TEXT NOT NULL,
    entry     INTEGER NOT NULL, -- in outbox or in settled
    PRIMARY KEY (tenant, detection, kind, value)
) STRICT, WITHOUT ROWID;
INSERT INTO sighting (tenant, detection, kind, value, entry)
SELECT tenant, detection, kind, value, ifnull(outbox, settled.id)
FROM sighting_2 AS old LEFT JOIN settled
    ON settled.delivered_at IS old.delivered_at AND settled.dropped_at IS old.dropped_at;
DROP TABLE sighting_2;
";

/// Brings the database from version `found` (0 for an empty one) to [`VERSION`]. The caller holds the transaction.
pub(super) fn migrate(db: &Connection, found: u32) -> rusqlite::Result<()> {
    for (_, change) in MIGRATIONS.iter().filter(|(version, _)| *version > found) {
        db.execute_batch(change)?;
    }
    db.pragma_update(None, "application_id", APPLICATION)?;
    db.pragma_update(None, "user_version", VERSION)
}
