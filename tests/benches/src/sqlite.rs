//! SQLite as a careful chat program would use it: WAL, `synchronous = FULL`, one table clustered by the timeline, an index for the
//! logs and one for ids. That is what the store of ours can answer, without sealing anything at rest.

use std::path::Path;

use parlor_storage::MessageRow;
use rusqlite::{Connection, params};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS events (
        room INTEGER, ord INTEGER, author INTEGER, seq INTEGER, id BLOB, received INTEGER, covers INTEGER, key BLOB, bytes BLOB,
        PRIMARY KEY (room, ord, author, seq)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX IF NOT EXISTS log ON events (room, author, seq);
    CREATE UNIQUE INDEX IF NOT EXISTS ids ON events (room, id);";

/// Opens a database in the folder; a second connection to it may be opened.
pub fn open(dir: &Path) -> Connection {
    let connection = Connection::open(dir.join("events.sqlite")).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;")
        .unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection
}

/// Inserts rows in one transaction, durable when this returns.
pub fn insert(connection: &mut Connection, rows: &[MessageRow]) {
    let transaction = connection.transaction().unwrap();
    {
        let mut statement =
            transaction.prepare_cached("INSERT INTO events VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)").unwrap();
        for row in rows {
            let author = i64::from_be_bytes(row.device.0[..8].try_into().unwrap());
            let key = row.key.as_ref().map(|key| key.expose().to_vec());
            let (order, seq) = (row.order as i64, row.seq as i64);
            let values =
                params![order, author, seq, row.id.0, row.received_ms as i64, row.covers_own as i64, key, row.bytes];
            statement.execute(values).unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// The bytes of the newest rows.
pub fn newest(connection: &Connection, limit: u32) -> Vec<Vec<u8>> {
    let sql = "SELECT bytes FROM events WHERE room = 1 ORDER BY ord DESC, author DESC, seq DESC LIMIT ?";
    let mut statement = connection.prepare_cached(sql).unwrap();
    let rows = statement.query_map([limit], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
