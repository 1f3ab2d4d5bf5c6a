//! Reads the ledger with SQL of its own, independent of the program's.

use std::collections::BTreeMap;

use rusqlite::{Connection, OpenFlags, Row};

use super::{Mention, Tenant};

/// What the ledger has of a mention.
pub(super) struct Sighting {
    /// The id of its entry, which several mentions of an indicator can share.
    pub(super) entry: i64,
    /// `waiting`, `quarantined`, `delivered` or `dropped`.
    pub(super) state: String,
}

/// Returns every mention of a tenant that is in the ledger. Empty if there is no ledger.
pub(super) fn sightings(tenant: &Tenant<'_>) -> BTreeMap<Mention, Sighting> {
    if !tenant.ledger.exists() {
        return BTreeMap::new();
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let db = Connection::open_with_flags(&tenant.ledger, flags).unwrap();
    let mut select = db
        .prepare(
            "SELECT alert, ifnull(settled.value, outbox.value), entry,
                    CASE WHEN batch.state IN ('delivered', 'dropped') THEN batch.state ELSE outbox.state END
             FROM sighting LEFT JOIN outbox ON outbox.id = entry
             LEFT JOIN settled ON settled.id = entry LEFT JOIN batch ON batch.id = settled.batch
             WHERE sighting.tenant = (SELECT id FROM tenant WHERE name = ?1)",
        )
        .unwrap();
    let read = |row: &Row<'_>| {
        let mention = Mention { alert: row.get(0)?, value: row.get(1)? };
        Ok((mention, Sighting { entry: row.get(2)?, state: row.get(3)? }))
    };
    let mut sightings = BTreeMap::new();
    for row in select.query_map([tenant.name], read).unwrap() {
        let (mention, sighting) = row.unwrap();
        let message = format!("{mention:?} has two entries");
        assert!(sightings.insert(mention, sighting).is_none(), "{message}");
    }
    sightings
}
