//! Function calls: which function a name means, and its arguments.

use sqlparser::ast::{
    Expr as Ast, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, ObjectNamePart,
};

use super::{Planner, aggregate, dates, elsewhere, expr::Cx, scope::Typed, special, window};
use crate::{
    error::{Result, SqlError},
    functions::TABLE,
};

/// A call, its parts sorted out.
pub(super) struct Invoked<'a> {
    /// In capitals, without SAFE.
    pub(super) name: String,
    pub(super) safe: bool,
    pub(super) function: &'a Function,
}

impl<'a> Invoked<'a> {
    pub(super) fn read(function: &'a Function) -> Result<Self> {
        let mut parts = Vec::new();
        for part in &function.name.0 {
            match part {
                ObjectNamePart::Identifier(ident) => parts.push(ident.value.to_ascii_uppercase()),
                ObjectNamePart::Function(_) => return Err(SqlError::unsupported("this form of a function's name")),
            }
        }
        let safe = parts.len() > 1 && parts.first().is_some_and(|first| first == "SAFE");
        if safe {
            parts.remove(0);
        }
        Ok(Self { name: parts.join("."), safe, function })
    }

    /// The argument list; absent brackets count as an empty one.
    pub(super) fn list(&self) -> Result<Option<&'a FunctionArgumentList>> {
        match &self.function.args {
            FunctionArguments::List(list) => Ok(Some(list)),
            FunctionArguments::None => Ok(None),
            FunctionArguments::Subquery(_) => Err(SqlError::unsupported(format!("{} of a subquery", self.name))
                .hint("write two pairs of brackets around the subquery")),
        }
    }

    /// Plain arguments: no names, no stars, no clauses.
    pub(super) fn plain(&self) -> Result<Vec<&'a Ast>> {
        let Some(list) = self.list()? else { return Ok(Vec::new()) };
        if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return Err(SqlError::unsupported(format!("{} takes no DISTINCT, ORDER BY, LIMIT or NULLS", self.name)));
        }
        self.unnamed(list)
    }

    /// The arguments without the clauses, which the caller reads.
    pub(super) fn unnamed(&self, list: &'a FunctionArgumentList) -> Result<Vec<&'a Ast>> {
        list.args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
                FunctionArg::Unnamed(_) => Err(SqlError::syntax(format!("{} of *", self.name))),
                FunctionArg::Named { name, .. } => {
                    Err(SqlError::unsupported(format!("argument \"{name}\" of {} is not built", self.name)))
                }
                FunctionArg::ExprNamed { .. } => Err(SqlError::unsupported("this form of a named argument")),
            })
            .collect()
    }
}

impl Planner<'_> {
    pub(super) fn function(&mut self, function: &Function, cx: &mut Cx) -> Result<Typed> {
        let call = Invoked::read(function)?;
        if function.uses_odbc_syntax
            || function.filter.is_some()
            || !function.within_group.is_empty()
            || function.parameters != FunctionArguments::None
        {
            return Err(SqlError::unsupported(format!("this form of calling {} is not GoogleSQL", call.name)).hint(
                "FILTER becomes COUNTIF or IF inside the aggregate; WITHIN GROUP becomes ORDER BY inside the brackets",
            ));
        }
        if function.null_treatment.is_some() {
            return Err(SqlError::unsupported("IGNORE NULLS and RESPECT NULLS stand inside the brackets"));
        }
        if function.over.is_some() {
            return self.window_call(&call, cx);
        }
        if aggregate::is_aggregate(&call.name) {
            return self.aggregate_call(&call, cx);
        }
        if window::is_window_only(&call.name) {
            return Err(SqlError::syntax(format!("{} needs OVER", call.name)));
        }
        if call.name == "ARRAY"
            && let FunctionArguments::Subquery(query) = &function.args
        {
            return self.array_subquery(query, cx);
        }
        if dates::takes_part(&call.name) {
            return self.dated_call(&call, cx);
        }
        if special::is_special(&call.name) {
            return self.special_call(&call, cx);
        }
        let forms = TABLE.forms(&call.name);
        if forms.is_empty() || call.name.starts_with('_') {
            return Err(no_function(&call.name));
        }
        let mut args = Vec::new();
        for arg in call.plain()? {
            args.push(self.expr(arg, cx)?);
        }
        let args = self.with_zone_argument(&call.name, args);
        let safe = call.safe || call.name.starts_with("SAFE_") && call.name != "SAFE_CONVERT_BYTES_TO_STRING";
        self.call_form(&call.name, "", forms, args, safe)
    }
}

/// Names of the functions whose arguments are more than types say.
pub(crate) fn special_names() -> impl Iterator<Item = &'static str> {
    special::NAMES.iter().chain(aggregate::NAMES).chain(dates::NAMES).chain(window::NAMES).copied()
}

fn no_function(name: &str) -> SqlError {
    let error = SqlError::name(format!("there is no function {name}"));
    if let Some(form) = elsewhere::form(name) {
        return error.hint(form);
    }
    let special = special_names();
    let nearest = TABLE
        .names()
        .chain(special)
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((_, known)) => error.hint(format!("did you mean {known}?")),
        None => error,
    }
}
