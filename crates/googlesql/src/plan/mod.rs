//! Statement to plan.

use datafusion::{execution::{SessionStateBuilder, session_state::SessionState}, logical_expr::LogicalPlan};

use crate::{error::{Result, SqlError}, options::{Options, Params}, statement::Parsed};

pub(crate) fn configure(builder: SessionStateBuilder) -> SessionStateBuilder {
    builder
}

pub(crate) async fn plan(_state: &SessionState, _options: &Options, _parsed: &Parsed, _params: &Params) -> Result<LogicalPlan> {
    Err(SqlError::unsupported("not built yet"))
}
