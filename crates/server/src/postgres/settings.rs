//! `SET` and `SHOW` of the Postgres wire.
//!
//! Owns: which settings mean something here (the time zone), which are answered as PostgreSQL would, and that
//! everything else a client sets is kept and shown again without effect.

use std::{sync::Arc, time::Duration};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::{BufMut, BytesMut};
use futures::stream;
use pgwire::{
    api::{
        portal::Format,
        results::{QueryResponse, Response, Tag},
    },
    error::PgWireResult,
    messages::data::DataRow,
};

use super::{
    problem,
    startup::{Connection, SERVER_VERSION},
    types::describe,
};

/// Changes a setting; `None` puts it back.
pub fn set(connection: &Connection, name: &str, value: Option<&str>) -> PgWireResult<Response> {
    if name == "timezone" {
        let zone = value.unwrap_or("UTC");
        connection.session.set_time_zone(zone).map_err(|error| problem::of_warehouse(&error, "", 0))?;
    } else {
        if name == "statement_timeout" {
            connection.session.set_timeout(value.map(timeout).transpose()?.flatten());
        }
        let mut settings = connection.settings.lock();
        match value {
            Some(value) => settings.insert(name.to_owned(), value.to_owned()),
            None => settings.remove(name),
        };
    }
    Ok(Response::Execution(Tag::new("SET")))
}

/// A limit as PostgreSQL writes it: milliseconds, or a number with its unit; 0 is none.
fn timeout(value: &str) -> PgWireResult<Option<Duration>> {
    let text = value.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let millis = match unit.trim() {
        "" | "ms" => Some(1),
        "s" => Some(1_000),
        "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let limit = number.parse::<u64>().ok().zip(millis).and_then(|(number, millis)| number.checked_mul(millis));
    let wrong =
        || problem::of_state("22023", format!("invalid value for parameter \"statement_timeout\": \"{value}\""));
    limit.map(|millis| (millis > 0).then(|| Duration::from_millis(millis))).ok_or_else(wrong)
}

/// The one column of `SHOW name`.
pub fn show_columns(name: &str) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(canonical(name), DataType::Utf8, false)]))
}

fn canonical(name: &str) -> String {
    match name {
        "transaction isolation level" => "transaction_isolation".to_owned(),
        "time zone" | "timezone" => "TimeZone".to_owned(),
        "session authorization" => "session_authorization".to_owned(),
        name => name.to_owned(),
    }
}

/// Answers `SHOW name`.
pub fn show(connection: &Connection, name: &str, format: Option<&Format>) -> PgWireResult<QueryResponse> {
    let kept = connection.settings.lock().get(name).cloned();
    let Some(value) = kept.or_else(|| known(connection, name)) else {
        return Err(problem::of_state("42704", format!("unrecognized configuration parameter \"{name}\"")));
    };
    let fields = Arc::new(describe(&show_columns(name), format));
    let mut bytes = BytesMut::new();
    bytes.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
    bytes.put_slice(value.as_bytes());
    let mut response = QueryResponse::new(fields, stream::iter([Ok(DataRow::new(bytes, 1))]));
    response.set_command_tag("SHOW");
    Ok(response)
}

fn known(connection: &Connection, name: &str) -> Option<String> {
    Some(match canonical(name).as_str() {
        "TimeZone" => connection.session.time_zone(),
        "session_authorization" => connection.session.principal().to_string(),
        "search_path" => connection.session.default_dataset().unwrap_or("").to_owned(),
        "server_version" => SERVER_VERSION.to_owned(),
        "server_version_num" => "150000".to_owned(),
        "server_encoding" | "client_encoding" => "UTF8".to_owned(),
        "transaction_isolation" | "default_transaction_isolation" => "read committed".to_owned(),
        "standard_conforming_strings"
        | "integer_datetimes"
        | "transaction_read_only"
        | "default_transaction_read_only" => "on".to_owned(),
        "is_superuser" | "in_hot_standby" => "off".to_owned(),
        "datestyle" | "DateStyle" => "ISO, YMD".to_owned(),
        "intervalstyle" | "IntervalStyle" => "postgres".to_owned(),
        "max_identifier_length" => "63".to_owned(),
        "extra_float_digits" => "1".to_owned(),
        "statement_timeout" | "lock_timeout" => "0".to_owned(),
        "application_name" => String::new(),
        "bytea_output" => "hex".to_owned(),
        _ => return None,
    })
}
