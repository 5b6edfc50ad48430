//! What a caller sets, and the door to planning.

use std::collections::BTreeMap;

use datafusion::{
    common::ScalarValue,
    execution::{SessionStateBuilder, session_state::SessionState},
    logical_expr::LogicalPlan,
};

use crate::{error::SqlError, plan, statement::Parsed, types::SqlType};

/// How statements are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// IANA name of the zone in which TIMESTAMP meets DATE, DATETIME and text where the SQL names none.
    pub time_zone: String,
    /// The field-metadata key under which a column's type stands where Arrow does not have it:
    /// `json`, `bignumeric`, `time`, `interval`, `datetime`, `uuid`, `enum` or `range`.
    pub type_key: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { time_zone: "UTC".into(), type_key: "googlesql.type".into() }
    }
}

/// Values for `@name` and `?`, typed by the value: `Date32` is DATE, `Timestamp(µs, "UTC")` TIMESTAMP,
/// `Timestamp(µs, None)` DATETIME, `Utf8` STRING, and so on. Names ignore case.
#[derive(Debug, Clone, Default)]
pub struct Params {
    /// For `@name`, by name without the `@`.
    pub named: BTreeMap<String, ScalarValue>,
    /// For `?`, in order.
    pub positional: Vec<ScalarValue>,
}

/// GoogleSQL for one session: options in, plans out.
#[derive(Debug, Clone, Default)]
pub struct GoogleSql {
    options: Options,
}

impl GoogleSql {
    /// Makes a planner with these options.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Sets what DataFusion must do the same way as the planner assumes. Call once, when the session is built.
    pub fn configure(&self, builder: SessionStateBuilder) -> SessionStateBuilder {
        plan::configure(builder)
    }

    /// Plans a query against the session's catalog.
    ///
    /// Tables are resolved by exact name through the session's catalog list; columns ignore case. The plan is
    /// not optimised. Output columns carry their type in metadata where Arrow does not have it (JSON).
    ///
    /// # Errors
    /// Whatever is not a query, does not resolve, does not type, or is not built: never a plan with other rows.
    pub async fn plan(&self, state: &SessionState, parsed: &Parsed, params: &Params) -> Result<LogicalPlan, SqlError> {
        plan::plan(state, &self.options, parsed, params).await
    }

    /// The types that the places of `$1`, `$2`, … ask for, in order; `None` where any would do, as in `SELECT $1`.
    ///
    /// `given` are types that are known already. Used by protocols that describe a statement before it has values.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub async fn parameter_types(
        &self,
        state: &SessionState,
        parsed: &Parsed,
        given: &[Option<SqlType>],
    ) -> Result<Vec<Option<SqlType>>, SqlError> {
        plan::parameter_types(state, &self.options, parsed, given).await
    }
}
