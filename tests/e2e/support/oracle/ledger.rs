//! Reads the ledger with SQL of its own, independent of the program's.

use std::collections::BTreeMap;

use rusqlite::{Connection, OpenFlags, Row};

use super::{Mention, Tenant};

/// Returns the state of every mention of a tenant in the ledger: `waiting`, `quarantined`,
/// `delivered` or `dropped`. Empty if there is no ledger.
pub(super) fn ledger_states(tenant: &Tenant<'_>) -> BTreeMap<Mention, String> {
    if !tenant.ledger.exists() {
        return BTreeMap::new();
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let db = Connection::open_with_flags(&tenant.ledger, flags).unwrap();
    let mut select = db
        .prepare(
            "SELECT alert, ifnull(settled.value, outbox.value),
                    CASE WHEN batch.state IN ('delivered', 'dropped') THEN batch.state ELSE outbox.state END
             FROM sighting LEFT JOIN outbox ON outbox.id = entry
             LEFT JOIN settled ON settled.id = entry LEFT JOIN batch ON batch.id = settled.batch
             WHERE sighting.tenant = (SELECT id FROM tenant WHERE name = ?1)",
        )
        .unwrap();
    let state =
        |row: &Row<'_>| Ok((Mention { alert: row.get(0)?, value: row.get(1)? }, row.get(2)?));
    let rows = select.query_map([tenant.name], state).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}
