//! Parameters without values: which types their places would give them.
//!
//! Owns: what was learnt while a statement is planned. Such a parameter is a NULL without a type that carries its
//! number; the first type it is coerced to is the one its place asks for. Never guesses.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use datafusion::{common::metadata::FieldMetadata, logical_expr::Expr, scalar::ScalarValue};

use super::{
    Planner,
    scope::{Lit, Typed},
};
use crate::{error::Result, types::SqlType};

/// Where a literal's metadata says which parameter it stands for.
const PARAMETER: &str = "googlesql.parameter";

/// Parameters asked for their types.
pub(super) struct Asked {
    given: Vec<Option<SqlType>>,
    learnt: RefCell<BTreeMap<usize, SqlType>>,
}

impl Asked {
    /// Those with a type keep it.
    pub(super) fn new(given: Vec<Option<SqlType>>) -> Self {
        Self { given, learnt: RefCell::default() }
    }

    /// What stands for a parameter, counted from 0.
    pub(super) fn parameter(&self, at: usize) -> Result<Typed> {
        if let Some(ty) = self.given.get(at).cloned().flatten() {
            return Typed::null(ty);
        }
        let mark = FieldMetadata::from(HashMap::from([(PARAMETER.to_owned(), at.to_string())]));
        let expr = Expr::Literal(ScalarValue::Int64(None), Some(mark));
        Ok(Typed { lit: Lit::Null, ..Typed::new(expr, SqlType::Int64) })
    }

    /// All that is known, in order; `None` where any type would do.
    pub(super) fn types(self) -> Vec<Option<SqlType>> {
        let learnt = self.learnt.into_inner();
        let count = self.given.len().max(learnt.keys().next_back().map_or(0, |last| last + 1));
        (0..count).map(|at| self.given.get(at).cloned().flatten().or_else(|| learnt.get(&at).cloned())).collect()
    }
}

fn number(typed: &Typed) -> Option<usize> {
    let Expr::Literal(_, Some(metadata)) = &typed.expr else { return None };
    metadata.inner().get(PARAMETER)?.parse().ok()
}

impl Planner<'_> {
    /// Whether an expression is a parameter whose type is asked for.
    pub(super) fn is_asked(typed: &Typed) -> bool {
        number(typed).is_some()
    }

    /// Notes what a parameter is about to become.
    pub(super) fn learn(&self, typed: &Typed, to: &SqlType) {
        if let (Some(asked), Some(at)) = (&self.asked, number(typed)) {
            asked.learnt.borrow_mut().entry(at).or_insert_with(|| to.clone());
        }
    }
}
