//! The tables.

use rusqlite::Connection;

use super::reader::query;

/// Marks a database as a ledger: `CIns` in ASCII.
pub(super) const APPLICATION_ID: i32 = 0x4349_6E73;

/// The schema version that this program writes.
pub(super) const VERSION: u32 = 1;

/// The SQL that leads from each version to the next one; none has been needed yet.
///
/// To change the tables after a release, leave [`TABLES`] alone, raise [`VERSION`] and append the
/// change, for example:
///
/// ```text
/// (2, "ALTER TABLE outbox ADD COLUMN note TEXT"),
/// ```
///
/// A migration never changes once it was released. A new ledger gets [`TABLES`] and all migrations;
/// a run, or a command that changes the ledger, applies to an older one what is missing, in one
/// transaction.
const MIGRATIONS: &[(u32, &str)] = &[];

/// The version of [`TABLES`], to which the migrations are applied.
const FIRST_VERSION: u32 = 1;

const TABLES: &str = "
CREATE TABLE tenant (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    source        TEXT NOT NULL,
    account       TEXT NOT NULL, -- a digest
    customer      TEXT,          -- a digest; NULL until alerts name it
    token         TEXT NOT NULL, -- a digest
    organizations TEXT NOT NULL, -- a sorted JSON array
    read_from     TEXT,          -- the start of the first window
    read_until    TEXT           -- the checkpoint
) STRICT;
-- A second copy: a flipped bit makes the two differ.
CREATE INDEX tenant_state ON tenant (source, account, customer, read_from, read_until);

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
-- A second copy, as above.
CREATE INDEX run_times ON run (tenant, started_at, finished_at, exit_code);

-- Entries that leave the outbox together: in one request, or dropped by one command.
-- AUTOINCREMENT, as below: in a dry run, real.settled still has the ids of batches that the dry run
-- deleted. A delivery must be recorded also when the disk is full: nothing that it changes is in an
-- index, and the row keeps its size.
CREATE TABLE batch (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant      INTEGER NOT NULL REFERENCES tenant (id),
    token       TEXT NOT NULL, -- a digest
    state       TEXT NOT NULL CHECK (state IN ('sending', 'delivered', 'dropped')),
    entries     INTEGER NOT NULL,
    first_entry INTEGER,       -- the range of its rows in settled; NULL once they are purged
    last_entry  INTEGER,
    techniques  TEXT NOT NULL, -- a JSON object: MITRE technique to number of entries
    begun_at    TEXT NOT NULL,
    ended_at    TEXT,
    reserve     BLOB,          -- as long as ended_at and the longer state, until they are written
    CHECK ((state = 'sending') = (ended_at IS NULL))
) STRICT;
CREATE INDEX batch_quota ON batch (token, begun_at, entries);

-- AUTOINCREMENT: an id is never given twice.
-- The rank puts the most severe first and those of unknown severity last.
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant      INTEGER NOT NULL REFERENCES tenant (id),
    run         TEXT NOT NULL,
    type        TEXT NOT NULL,
    value       TEXT NOT NULL,
    severity    INTEGER,
    rank        INTEGER NOT NULL GENERATED ALWAYS AS (-ifnull(severity, -1)) VIRTUAL,
    stored_at   TEXT NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    state       TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'quarantined')),
    status      INTEGER,
    message     TEXT,
    rejected_at TEXT,
    item        TEXT NOT NULL,
    CHECK (status IS NULL OR state = 'quarantined'), -- NULL where it was never sent
    CHECK ((state = 'quarantined') = (message IS NOT NULL)),
    CHECK ((state = 'quarantined') = (rejected_at IS NOT NULL))
) STRICT;
CREATE INDEX outbox_order ON outbox (tenant, state, rank, id);

-- How many more detections named the indicator of an entry. Not a column of outbox: most mentions
-- change nothing else, and would rewrite its long rows.
CREATE TABLE repeat (
    entry INTEGER PRIMARY KEY REFERENCES outbox (id) ON DELETE CASCADE,
    count INTEGER NOT NULL
) STRICT;

-- Entries that are in a batch, whatever its state.
CREATE TABLE settled (
    id          INTEGER PRIMARY KEY, -- the entry's id in the outbox
    type        TEXT NOT NULL,
    value       TEXT NOT NULL,
    detections  INTEGER NOT NULL,
    batch       INTEGER NOT NULL, -- no REFERENCES: deleting a batch would read all of this table
    severity    INTEGER,
    detected_at INTEGER,          -- milliseconds since 1970, UTC; this and the next: NULL if dropped
    field       TEXT,
    mitre_codes TEXT              -- with spaces between them
) STRICT;

-- The rows of the outbox that are not yet delivered.
CREATE VIEW pending AS SELECT * FROM outbox WHERE NOT EXISTS (
    SELECT 1 FROM settled JOIN batch ON batch.id = settled.batch
    WHERE settled.id = outbox.id AND batch.state <> 'sending');

-- By time first: alerts come in the order of their creation, so a run touches few pages.
CREATE TABLE sighting (
    tenant     INTEGER NOT NULL REFERENCES tenant (id),
    created_at INTEGER NOT NULL, -- milliseconds since 1970, UTC
    alert      TEXT NOT NULL, -- its id
    entry      INTEGER NOT NULL, -- in outbox or in settled
    PRIMARY KEY (tenant, created_at, alert, entry)
) STRICT, WITHOUT ROWID;

-- Spans that no run read, because they were older than the limit for catching up.
CREATE TABLE gap (
    tenant   INTEGER NOT NULL REFERENCES tenant (id),
    start    TEXT NOT NULL,
    until    TEXT NOT NULL, -- exclusive
    found_at TEXT NOT NULL,
    PRIMARY KEY (tenant, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE exclusion_hit (
    tenant      INTEGER NOT NULL REFERENCES tenant (id),
    rule        TEXT NOT NULL,    -- in normal form
    hits        INTEGER NOT NULL, -- mentions that it matched
    last_hit_at TEXT NOT NULL,
    PRIMARY KEY (tenant, rule)
) STRICT, WITHOUT ROWID;

-- Samples of what was left out, for a person: nothing depends on them.
CREATE TABLE left_out (
    tenant    INTEGER NOT NULL REFERENCES tenant (id),
    reason    TEXT NOT NULL,
    type      TEXT NOT NULL,    -- empty where the value is not an indicator
    value     TEXT NOT NULL,    -- its beginning
    alert     TEXT NOT NULL,    -- the last alert that named it; the beginning of its id
    mentions  INTEGER NOT NULL,
    first_at  TEXT NOT NULL,    -- when a run left it out for the first time
    last_at   TEXT NOT NULL,
    PRIMARY KEY (tenant, reason, type, value)
) STRICT, WITHOUT ROWID;
";

/// Creates the tables in an empty database.
pub(super) fn create(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(TABLES)?;
    migrate(db, FIRST_VERSION)
}

/// Brings the tables from version `found` to [`VERSION`]. The caller holds the transaction.
pub(super) fn migrate(db: &Connection, found: u32) -> rusqlite::Result<()> {
    apply(db, found, MIGRATIONS)?;
    stamp(db)
}

fn apply(db: &Connection, found: u32, migrations: &[(u32, &str)]) -> rusqlite::Result<()> {
    for (_, change) in migrations.iter().filter(|(version, _)| *version > found) {
        db.execute_batch(change)?;
    }
    Ok(())
}

/// Writes the application id and the version; also when both are current, which proves early that
/// the file can be written.
fn stamp(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "application_id", APPLICATION_ID)?;
    db.pragma_update(None, "user_version", VERSION)
}

/// A table, index or view as [`create`] creates it: its row in `sqlite_schema`.
pub(super) struct Object {
    pub row: i64,
    pub kind: String,
    pub name: String,
    pub table: String,
    /// `None` for an index that belongs to a constraint.
    pub sql: Option<String>,
}

/// Returns everything that [`create`] creates.
pub(super) fn objects() -> rusqlite::Result<Vec<Object>> {
    let model = Connection::open_in_memory()?;
    create(&model)?;
    let select = "SELECT rowid, type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid";
    query(&model, select, &[], |row| {
        Ok(Object {
            row: row.get(0)?,
            kind: row.get(1)?,
            name: row.get(2)?,
            table: row.get(3)?,
            sql: row.get(4)?,
        })
    })
}

/// Returns the name of a table, index or view that is missing, or not as [`create`] creates it.
/// Additions of others are left alone.
pub(super) fn find_difference(db: &Connection) -> rusqlite::Result<Option<String>> {
    let mut find = db.prepare(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema
                        WHERE name = ?1 AND type = ?2 AND tbl_name = ?3 AND sql IS ?4)",
    )?;
    for object in objects()? {
        let columns = (&object.name, object.kind, object.table, object.sql);
        if !find.query_row(columns, |row| row.get::<_, bool>(0))? {
            return Ok(Some(object.name));
        }
    }
    Ok(None)
}

/// Makes sure that no id is given twice, also where `sqlite_sequence` lost its count. `from` is the
/// database that has the ids: `main`, or `real` for a dry run. The caller holds the transaction.
pub(super) fn restore_sequences(db: &Connection, from: &str) -> rusqlite::Result<()> {
    let largest = |column: &str, table: &str| -> rusqlite::Result<i64> {
        let select = format!("SELECT ifnull(max({column}), 0) FROM {from}.{table}");
        db.query_row(&select, [], |row| row.get(0))
    };
    let outbox = || Ok(largest("id", "outbox")?.max(largest("id", "settled")?));
    restore_sequence(db, "outbox", outbox, || largest("entry", "sighting"))?;
    restore_sequence(db, "batch", || largest("id", "batch"), || largest("batch", "settled"))
}

/// Raises the count of a table if it is missing or smaller than the largest id that `found`
/// returns. Only then it calls `elsewhere`, which reads a whole table for larger ids.
fn restore_sequence(
    db: &Connection,
    table: &str,
    found: impl Fn() -> rusqlite::Result<i64>,
    elsewhere: impl Fn() -> rusqlite::Result<i64>,
) -> rusqlite::Result<()> {
    let select = "SELECT max(CAST(seq AS INTEGER)) FROM main.sqlite_sequence WHERE name = ?1";
    let count: Option<i64> = db.query_row(select, [table], |row| row.get(0))?;
    let found = found()?;
    if count.is_some_and(|count| count >= found) {
        return Ok(());
    }
    let last = found.max(elsewhere()?);
    if last > 0 {
        db.execute("DELETE FROM main.sqlite_sequence WHERE name = ?1", [table])?;
        let insert = "INSERT INTO main.sqlite_sequence (name, seq) VALUES (?1, ?2)";
        db.execute(insert, rusqlite::params![table, last])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_later_migrations_are_applied() {
        let db = Connection::open_in_memory().unwrap();
        let migrations = [(2, "CREATE TABLE two (x)"), (3, "CREATE TABLE three (x)")];
        apply(&db, 2, &migrations).unwrap();
        let tables = "SELECT group_concat(name) FROM sqlite_schema";
        let found: String = db.query_row(tables, [], |row| row.get(0)).unwrap();
        assert_eq!(found, "three");
        assert!(MIGRATIONS.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(MIGRATIONS.last().map_or(FIRST_VERSION, |last| last.0), VERSION);
    }
}
