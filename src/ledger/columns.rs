//! Conversions between Rust types and columns.

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Row, RowIndex, ToSql};
use serde_json::Value;

use crate::indicator::IndicatorType;

/// Formats a time as the ledger stores it: RFC 3339, UTC, milliseconds. It sorts as text.
pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time in a text column.
pub(super) struct Time(pub DateTime<Utc>);

impl ToSql for Time {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(rfc3339(self.0).into())
    }
}

impl FromSql for Time {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let time = DateTime::parse_from_rfc3339(value.as_str()?).map_err(FromSqlError::other)?;
        Ok(Self(time.to_utc()))
    }
}

/// A text that may not be valid UTF-8.
struct Text(String);

impl FromSql for Text {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(String::from_utf8_lossy(value.as_bytes()?).into_owned()))
    }
}

impl FromSql for IndicatorType {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_name(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

/// The JSON of an item, as text. One that is not UTF-8 is read as an empty text, which is not JSON
/// either: a damaged item must not stop the run that reads it.
pub(super) struct ItemColumn(pub String);

impl FromSql for ItemColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(String::from_utf8(value.as_bytes()?.to_vec()).unwrap_or_default()))
    }
}

/// Converts a number of rows as `SQLite` reports it.
pub(super) fn row_count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// Reads the time in a column.
pub(super) fn time(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<DateTime<Utc>> {
    Ok(row.get::<_, Time>(column)?.0)
}

/// Reads the time in a column, if any.
pub(super) fn optional_time(
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    Ok(row.get::<_, Option<Time>>(column)?.map(|time| time.0))
}

/// Reads the text in a column. What is not UTF-8 in it is replaced: a damaged row must not stop a
/// run.
pub(super) fn text(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<String> {
    Ok(row.get::<_, Text>(column)?.0)
}

/// Reads the text in a column as [`text`] does, if any.
pub(super) fn optional_text(
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<Option<String>> {
    Ok(row.get::<_, Option<Text>>(column)?.map(|text| text.0))
}

/// Reads the time in a column of milliseconds since 1970, UTC; `None` if it is NULL or out of
/// range.
pub(super) fn milliseconds(
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(DateTime::from_timestamp_millis))
}

/// Returns values as a parameter for `json_each`.
pub(super) fn json_array<T: Into<Value>>(values: impl Iterator<Item = T>) -> String {
    values.map(Into::into).collect::<Value>().to_string()
}

/// A list of strings in a column, as JSON.
pub(super) struct JsonList(pub Vec<String>);

impl FromSql for JsonList {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}
