//! Aggregate functions: what each one computes below, and how its answer is finished.
//!
//! A call is one or more of DataFusion's aggregates over prepared arguments, then an expression over their results.
//! SUM cannot wrap: integers are summed in 128 bits, NUMERIC in 256, BIGNUMERIC in two halves.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    functions_aggregate::{
        approx_distinct::approx_distinct_udaf,
        array_agg::array_agg_udaf,
        average::avg_udaf,
        bit_and_or_xor::{bit_and_udaf, bit_or_udaf, bit_xor_udaf},
        bool_and_or::{bool_and_udaf, bool_or_udaf},
        correlation::corr_udaf,
        count::count_udaf,
        covariance::{covar_pop_udaf, covar_samp_udaf},
        first_last::first_value_udaf,
        min_max::{max_udaf, min_udaf},
        stddev::{stddev_pop_udaf, stddev_udaf},
        sum::sum_udaf,
        variance::{var_pop_udaf, var_samp_udaf},
    },
    logical_expr::{
        AggregateUDF, Expr, cast,
        expr::{AggregateFunction, NullTreatment, Sort},
        lit,
    },
};
use sqlparser::ast::{
    DuplicateTreatment, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArgumentClause, HavingBound,
    HavingBoundKind, NullTreatment as AstNulls, OrderByExpr,
};

use super::{
    Planner,
    call::Invoked,
    expr::Cx,
    scope::{Typed, column_expr},
    totals,
};
use crate::{
    error::{Result, SqlError},
    functions::TABLE,
    types::SqlType,
};

/// The functions here.
pub(super) const NAMES: &[&str] = &[
    "COUNT",
    "COUNTIF",
    "SUM",
    "AVG",
    "MIN",
    "MAX",
    "ANY_VALUE",
    "MAX_BY",
    "MIN_BY",
    "ARRAY_AGG",
    "STRING_AGG",
    "ARRAY_CONCAT_AGG",
    "LOGICAL_AND",
    "LOGICAL_OR",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "STDDEV",
    "STDDEV_SAMP",
    "STDDEV_POP",
    "VARIANCE",
    "VAR_SAMP",
    "VAR_POP",
    "CORR",
    "COVAR_SAMP",
    "COVAR_POP",
    "APPROX_COUNT_DISTINCT",
    "APPROX_QUANTILES",
    "APPROX_TOP_COUNT",
    "APPROX_TOP_SUM",
    "PERCENTILE_CONT",
    "PERCENTILE_DISC",
];

pub(super) fn is_aggregate(name: &str) -> bool {
    NAMES.contains(&name)
}

/// One of DataFusion's aggregates, and the SQL type its raw result is read as.
pub(super) struct Piece {
    pub(super) udaf: Arc<AggregateUDF>,
    pub(super) args: Vec<Expr>,
    pub(super) distinct: bool,
    pub(super) filter: Option<Expr>,
    pub(super) order_by: Vec<Sort>,
    pub(super) nulls: Option<NullTreatment>,
    pub(super) ty: SqlType,
}

impl Piece {
    fn new(udaf: Arc<AggregateUDF>, args: Vec<Expr>, ty: SqlType) -> Self {
        Self { udaf, args, distinct: false, filter: None, order_by: Vec::new(), nulls: None, ty }
    }

    fn filter(mut self, filter: Expr) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Only rows that meet a condition too.
    fn among(mut self, rows: Option<&Expr>) -> Self {
        if let Some(rows) = rows {
            self.filter = Some(self.filter.map_or_else(|| rows.clone(), |filter| rows.clone().and(filter)));
        }
        self
    }

    fn into_expr(self) -> Expr {
        Expr::AggregateFunction(AggregateFunction::new_udf(
            self.udaf,
            self.args,
            self.distinct,
            self.filter.map(Box::new),
            self.order_by,
            self.nulls,
        ))
    }
}

/// How the pieces' results become the answer.
pub(super) type Finish = Box<dyn FnOnce(&Planner<'_>, Vec<Typed>) -> Result<Typed>>;

/// An aggregate call, planned.
pub(super) struct Aggregation {
    pub(super) pieces: Vec<Piece>,
    pub(super) finish: Finish,
}

impl Aggregation {
    fn one(piece: Piece) -> Self {
        Self { pieces: vec![piece], finish: Box::new(|_, results| only(results)) }
    }

    fn finished(piece: Piece, finish: impl FnOnce(&Planner<'_>, Typed) -> Result<Typed> + 'static) -> Self {
        Self { pieces: vec![piece], finish: Box::new(|planner, results| finish(planner, only(results)?)) }
    }
}

fn only(mut results: Vec<Typed>) -> Result<Typed> {
    results.pop().ok_or_else(|| SqlError::unsupported("an aggregate without a result"))
}

/// The clauses inside an aggregate's brackets.
#[derive(Default)]
struct Clauses<'a> {
    distinct: bool,
    ignore_nulls: Option<bool>,
    order_by: &'a [OrderByExpr],
    limit: Option<&'a Ast>,
    having: Option<&'a HavingBound>,
}

impl<'a> Clauses<'a> {
    fn read(call: &Invoked<'a>) -> Result<Self> {
        let mut clauses = Self::default();
        let Some(list) = call.list()? else { return Ok(clauses) };
        clauses.distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        if list.duplicate_treatment == Some(DuplicateTreatment::All) {
            return Err(SqlError::syntax("ALL inside an aggregate is not GoogleSQL"));
        }
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::IgnoreOrRespectNulls(nulls) => {
                    clauses.ignore_nulls = Some(*nulls == AstNulls::IgnoreNulls);
                }
                FunctionArgumentClause::OrderBy(order) => clauses.order_by = order,
                FunctionArgumentClause::Limit(limit) => clauses.limit = Some(limit),
                FunctionArgumentClause::Having(bound) => clauses.having = Some(bound),
                other => return Err(SqlError::unsupported(format!("{other} inside {}", call.name))),
            }
        }
        Ok(clauses)
    }

    /// Refuses what a function does not take.
    fn only(&self, name: &str, order: bool, nulls: bool, having: bool) -> Result<()> {
        let refused = if !order && !self.order_by.is_empty() {
            "ORDER BY"
        } else if !order && self.limit.is_some() {
            "LIMIT"
        } else if !nulls && self.ignore_nulls.is_some() {
            "IGNORE NULLS"
        } else if !having && self.having.is_some() {
            "HAVING"
        } else {
            return Ok(());
        };
        Err(SqlError::unsupported(format!("{refused} inside {name} is not built")))
    }
}

impl Planner<'_> {
    /// Plans an aggregate call in a query that is grouped.
    pub(super) fn aggregate_call(&mut self, call: &Invoked<'_>, cx: &mut Cx) -> Result<Typed> {
        self.aggregate_where(call, None, cx)
    }

    /// The same over the rows alone that meet a condition.
    pub(super) fn aggregate_where(&mut self, call: &Invoked<'_>, only: Option<&Expr>, cx: &mut Cx) -> Result<Typed> {
        if cx.aggregates.is_none() {
            return Err(SqlError::syntax(format!("{} is an aggregate, which {} cannot have", call.name, cx.clause)));
        }
        if call.safe {
            return Err(SqlError::unsupported("SAFE. before an aggregate"));
        }
        let aggregation = self.aggregation(call, cx)?;
        let mut results = Vec::new();
        for piece in aggregation.pieces {
            let ty = piece.ty.clone();
            let expr = piece.among(only).into_expr();
            let id = self.fresh(&call.name.to_lowercase());
            let Some(known) = cx.aggregates.as_mut() else { return Err(SqlError::syntax("aggregate out of place")) };
            let id = match known.iter().find(|(other, _)| *other == expr) {
                Some((_, id)) if !expr.is_volatile() => id.clone(),
                _ => {
                    known.push((expr, id.clone()));
                    id
                }
            };
            results.push(Typed::new(column_expr(&id), ty));
        }
        (aggregation.finish)(self, results)
    }

    /// Plans an aggregate's arguments; shared by grouped queries and windows.
    pub(super) fn aggregation(&mut self, call: &Invoked<'_>, cx: &mut Cx) -> Result<Aggregation> {
        let clauses = Clauses::read(call)?;
        let name = call.name.as_str();
        let Some(list) = call.list()? else { return Err(SqlError::syntax(format!("{name} takes arguments"))) };
        let windowed = call.function.over.is_some();
        let mut inner = cx.inner("an aggregate's argument");
        // Over a grouped query, a window's arguments may hold aggregates.
        if windowed {
            inner.aggregates = cx.aggregates.take();
        }
        let planned = self.aggregation_inner(call, &clauses, list.args.as_slice(), &mut inner);
        if windowed {
            cx.aggregates = inner.aggregates;
        }
        planned
    }

    fn aggregation_inner(
        &mut self,
        call: &Invoked<'_>,
        clauses: &Clauses<'_>,
        args: &[FunctionArg],
        cx: &mut Cx,
    ) -> Result<Aggregation> {
        let name = call.name.as_str();
        if name == "COUNT" && matches!(args, [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]) {
            clauses.only(name, false, false, false)?;
            if clauses.distinct {
                return Err(SqlError::syntax("COUNT(DISTINCT *) is not GoogleSQL"));
            }
            return Ok(Aggregation::one(Piece::new(count_udaf(), vec![lit(1_i64)], SqlType::Int64)));
        }
        let Some(list) = call.list()? else { return Err(SqlError::syntax(format!("{name} takes arguments"))) };
        let mut typed = Vec::new();
        for arg in call.unnamed(list)? {
            typed.push(self.expr(arg, cx)?);
        }
        match name {
            "ARRAY_AGG" | "STRING_AGG" | "ARRAY_CONCAT_AGG" => return self.collected(name, clauses, typed, cx),
            "ANY_VALUE" | "MAX_BY" | "MIN_BY" => return self.chosen(name, clauses, typed, cx),
            _ => {}
        }
        let skips_nulls = matches!(name, "APPROX_QUANTILES" | "PERCENTILE_CONT" | "PERCENTILE_DISC");
        clauses.only(name, false, skips_nulls, false)?;
        match name {
            "APPROX_QUANTILES" | "APPROX_TOP_COUNT" | "APPROX_TOP_SUM" | "PERCENTILE_CONT" | "PERCENTILE_DISC" => {
                self.sampled(name, clauses.ignore_nulls, clauses.distinct, typed)
            }
            "CORR" | "COVAR_SAMP" | "COVAR_POP" => self.paired(name, clauses.distinct, typed),
            _ => {
                let [_] = typed.as_slice() else { return Err(SqlError::syntax(format!("{name} takes one argument"))) };
                let arg = typed.pop().ok_or_else(|| SqlError::syntax("no argument"))?;
                let mut aggregation = self.single(name, arg, clauses.distinct)?;
                if clauses.distinct {
                    if aggregation.pieces.len() != 1 || !matches!(name, "COUNT" | "SUM" | "AVG" | "MIN" | "MAX") {
                        return Err(SqlError::unsupported(format!("{name}(DISTINCT ...) is not built for this type")));
                    }
                    for piece in &mut aggregation.pieces {
                        piece.distinct = true;
                    }
                }
                Ok(aggregation)
            }
        }
    }

    /// Aggregates of one argument.
    fn single(&self, name: &str, arg: Typed, distinct: bool) -> Result<Aggregation> {
        let float = |planner: &Self, arg| planner.coerce(arg, &SqlType::Float64).map(|arg| vec![arg.expr]);
        let no_form = |ty: &SqlType| Err(SqlError::typed(format!("{name} does not take {ty}")));
        let int = |udaf, args| Ok(Aggregation::one(Piece::new(udaf, args, SqlType::Int64)));
        match name {
            "COUNT"
                if matches!(
                    arg.ty,
                    SqlType::Float64 | SqlType::Json | SqlType::Array(_) | SqlType::Struct(_) | SqlType::Interval
                ) =>
            {
                if distinct && arg.ty == SqlType::Float64 {
                    return int(count_udaf(), vec![Self::group_form(arg).expr]);
                }
                // Counting needs no values, and DISTINCT of these types would compare them as Arrow does.
                let present = self.case_of(vec![arg.expr.is_not_null()], vec![Typed::int(1), Self::untyped_null()?])?;
                if distinct {
                    return Err(SqlError::unsupported(format!("COUNT(DISTINCT) of {} is not built", arg.ty)));
                }
                int(count_udaf(), vec![present.expr])
            }
            "COUNT" => int(count_udaf(), vec![arg.expr]),
            "COUNTIF" => {
                let condition = self.coerce(arg, &SqlType::Bool)?;
                let counted = self.case_of(vec![condition.expr], vec![Typed::int(1), Self::untyped_null()?])?;
                int(count_udaf(), vec![counted.expr])
            }
            "SUM" => Self::sum(arg),
            "AVG" => self.average(arg),
            "MIN" | "MAX" => self.least_or_greatest(name, arg),
            "LOGICAL_AND" | "LOGICAL_OR" => {
                let udaf = if name == "LOGICAL_AND" { bool_and_udaf() } else { bool_or_udaf() };
                let arg = self.coerce(arg, &SqlType::Bool)?;
                Ok(Aggregation::one(Piece::new(udaf, vec![arg.expr], SqlType::Bool)))
            }
            "BIT_AND" | "BIT_OR" | "BIT_XOR" if arg.ty == SqlType::Int64 => {
                let udaf = match name {
                    "BIT_AND" => bit_and_udaf(),
                    "BIT_OR" => bit_or_udaf(),
                    _ => bit_xor_udaf(),
                };
                int(udaf, vec![arg.expr])
            }
            "STDDEV" | "STDDEV_SAMP" => {
                Ok(Aggregation::one(Piece::new(stddev_udaf(), float(self, arg)?, SqlType::Float64)))
            }
            "STDDEV_POP" => Ok(Aggregation::one(Piece::new(stddev_pop_udaf(), float(self, arg)?, SqlType::Float64))),
            "VARIANCE" | "VAR_SAMP" => {
                Ok(Aggregation::one(Piece::new(var_samp_udaf(), float(self, arg)?, SqlType::Float64)))
            }
            "VAR_POP" => Ok(Aggregation::one(Piece::new(var_pop_udaf(), float(self, arg)?, SqlType::Float64))),
            "APPROX_COUNT_DISTINCT" if Self::orderable(&arg.ty) => {
                let arg = if arg.ty == SqlType::String { arg } else { self.cast(arg, &SqlType::String, false)? };
                let piece = Piece::new(approx_distinct_udaf(), vec![arg.expr], SqlType::Int64);
                Ok(Aggregation::finished(piece, |_, result| {
                    Ok(Typed::new(cast(result.expr, DataType::Int64), SqlType::Int64))
                }))
            }
            _ => no_form(&arg.ty),
        }
    }

    fn sum(arg: Typed) -> Result<Aggregation> {
        let ty = arg.ty.clone();
        let piece = |expr: Expr| Piece::new(sum_udaf(), vec![expr], SqlType::Int64);
        match &ty {
            SqlType::Int64 => {
                Ok(Aggregation::finished(piece(cast(arg.expr, DataType::Decimal128(38, 0))), |_, sum| {
                    Ok(totals::int_of(sum.expr))
                }))
            }
            SqlType::Numeric => {
                Ok(Aggregation::finished(piece(cast(arg.expr, DataType::Decimal256(76, 9))), |_, sum| {
                    Ok(totals::numeric_of(sum.expr))
                }))
            }
            SqlType::BigNumeric => {
                let (high, low) = totals::halves(&arg);
                let finish: Finish = Box::new(|_, mut results| match (results.pop(), results.pop()) {
                    (Some(low), Some(high)) => Ok(totals::big_of(high.expr, low.expr)),
                    _ => Err(SqlError::unsupported("SUM without halves")),
                });
                Ok(Aggregation { pieces: vec![piece(high), piece(low)], finish })
            }
            SqlType::Float64 => Ok(Aggregation::one(Piece { ty: SqlType::Float64, ..piece(arg.expr) })),
            other => Err(SqlError::typed(format!("SUM does not take {other}"))),
        }
    }

    fn average(&self, arg: Typed) -> Result<Aggregation> {
        match arg.ty {
            SqlType::Int64 | SqlType::Float64 => {
                let arg = self.coerce(arg, &SqlType::Float64)?;
                Ok(Aggregation::one(Piece::new(avg_udaf(), vec![arg.expr], SqlType::Float64)))
            }
            SqlType::Numeric | SqlType::BigNumeric => {
                let ty = arg.ty.clone();
                let mut aggregation = Self::sum(arg.clone())?;
                aggregation.pieces.push(Piece::new(count_udaf(), vec![arg.expr], SqlType::Int64));
                let finish = aggregation.finish;
                aggregation.finish = Box::new(move |planner, mut results| {
                    let count = results.pop().ok_or_else(|| SqlError::unsupported("AVG without a count"))?;
                    let sum = finish(planner, results)?;
                    // The sum of no rows is NULL, hence so is its quotient, whatever the count.
                    planner.call_form("_div", "", TABLE.forms("_div"), vec![sum, planner.coerce(count, &ty)?], false)
                });
                Ok(aggregation)
            }
            other => Err(SqlError::typed(format!("AVG does not take {other}"))),
        }
    }

    fn least_or_greatest(&self, name: &str, arg: Typed) -> Result<Aggregation> {
        let udaf = || if name == "MIN" { min_udaf() } else { max_udaf() };
        let ty = arg.ty.clone();
        if !Self::orderable(&ty) {
            return Err(SqlError::typed(format!("{name} does not take {ty}")));
        }
        if ty != SqlType::Float64 {
            return Ok(Aggregation::one(Piece::new(udaf(), vec![arg.expr], ty)));
        }
        // NaN wins over every number, in both directions.
        let nan = self.call_form("IS_NAN", "", TABLE.forms("IS_NAN"), vec![arg.clone()], false)?;
        let number = self.case_of(vec![nan.expr.clone()], vec![Typed::null(SqlType::Float64)?, arg])?;
        let pieces = vec![
            Piece::new(udaf(), vec![number.expr], SqlType::Float64),
            Piece::new(bool_or_udaf(), vec![nan.expr], SqlType::Bool),
        ];
        let finish: Finish = Box::new(|planner, mut results| match (results.pop(), results.pop()) {
            (Some(any), Some(value)) => planner.case_of(vec![any.expr.is_true()], vec![totals::nan(), value]),
            _ => Err(SqlError::unsupported("MIN without a result")),
        });
        Ok(Aggregation { pieces, finish })
    }

    fn paired(&self, name: &str, distinct: bool, args: Vec<Typed>) -> Result<Aggregation> {
        if distinct || args.len() != 2 {
            return Err(SqlError::unsupported(format!("{name} takes two arguments, without DISTINCT")));
        }
        let udaf = match name {
            "CORR" => corr_udaf(),
            "COVAR_SAMP" => covar_samp_udaf(),
            _ => covar_pop_udaf(),
        };
        let args = args
            .into_iter()
            .map(|arg| self.coerce(arg, &SqlType::Float64).map(|arg| arg.expr))
            .collect::<Result<_>>()?;
        Ok(Aggregation::one(Piece::new(udaf, args, SqlType::Float64)))
    }

    /// ANY_VALUE, MAX_BY, MIN_BY: one row's value.
    fn chosen(&mut self, name: &str, clauses: &Clauses<'_>, mut args: Vec<Typed>, cx: &mut Cx) -> Result<Aggregation> {
        clauses.only(name, false, false, name == "ANY_VALUE")?;
        if clauses.distinct || args.len() != if name == "ANY_VALUE" { 1 } else { 2 } {
            return Err(SqlError::unsupported(format!("{name} with these arguments")));
        }
        let by = match (name, clauses.having) {
            ("ANY_VALUE", None) => None,
            ("ANY_VALUE", Some(HavingBound(kind, by))) => {
                Some((self.expr(by, cx)?, matches!(kind, HavingBoundKind::Max)))
            }
            _ => args.pop().map(|by| (by, name == "MAX_BY")),
        };
        let value = args.pop().ok_or_else(|| SqlError::syntax(format!("{name} takes an argument")))?;
        let mut piece = Piece::new(first_value_udaf(), vec![value.expr.clone()], value.ty);
        match by {
            None => {
                piece.nulls = Some(NullTreatment::IgnoreNulls);
            }
            Some((by, _)) if !Self::orderable(&by.ty) || by.ty == SqlType::Float64 => {
                return Err(SqlError::unsupported(format!("{name} by {} is not built", by.ty)));
            }
            Some((by, greatest)) => {
                piece.order_by = vec![Sort::new(by.expr.clone(), !greatest, false)];
                piece = piece.filter(by.expr.is_not_null());
            }
        }
        Ok(Aggregation::one(piece))
    }

    /// ARRAY_AGG, STRING_AGG, ARRAY_CONCAT_AGG.
    fn collected(
        &mut self,
        name: &str,
        clauses: &Clauses<'_>,
        mut args: Vec<Typed>,
        cx: &mut Cx,
    ) -> Result<Aggregation> {
        clauses.only(name, true, name == "ARRAY_AGG", false)?;
        let delimiter = match (name, args.len()) {
            ("STRING_AGG", 2) => args.pop(),
            ("STRING_AGG", 1) => Some(Typed::text(",")),
            (_, 1) => None,
            _ => return Err(SqlError::syntax(format!("{name} has other arguments"))),
        };
        let mut value = args.pop().ok_or_else(|| SqlError::syntax(format!("{name} takes an argument")))?;
        let most = match clauses.limit {
            Some(limit) => Some(self.count_literal(limit, cx)?),
            None => None,
        };
        let mut order_by = Vec::new();
        for item in clauses.order_by {
            let (key, asc, nulls_first) = self.order_item(item, cx)?;
            order_by.push(Sort::new(key.expr, asc, nulls_first));
        }
        if let Some(delimiter) = &delimiter {
            if delimiter.lit == super::scope::Lit::No || delimiter.ty != SqlType::String {
                return Err(SqlError::typed("STRING_AGG's delimiter must be a string literal or parameter"));
            }
            value = self.coerce(value, &SqlType::String)?;
        }
        let is_array = matches!(value.ty, SqlType::Array(_));
        if is_array && name == "ARRAY_AGG" {
            return Err(SqlError::typed("an ARRAY cannot hold ARRAYs")
                .hint("put a STRUCT between them, or use ARRAY_CONCAT_AGG"));
        }
        if name == "ARRAY_CONCAT_AGG" {
            return Err(
                SqlError::unsupported("ARRAY_CONCAT_AGG is not built").hint("UNNEST the arrays and use ARRAY_AGG")
            );
        }
        if clauses.distinct && !Self::groupable(&value.ty) {
            return Err(SqlError::unsupported(format!("{name}(DISTINCT) of {} is not built", value.ty)));
        }
        if clauses.distinct {
            value = Self::group_form(value);
        }
        if clauses.distinct && order_by.iter().any(|sort| sort.expr != value.expr) {
            return Err(SqlError::typed(format!("{name}(DISTINCT) can only be ordered by its own argument")));
        }
        let mut piece =
            Piece::new(array_agg_udaf(), vec![value.expr.clone()], SqlType::Array(Box::new(value.ty.clone())));
        piece.distinct = clauses.distinct;
        // The engine sorts distinct values as the first of several aggregates asks, whatever the others ask.
        let sorted = order_by.first().filter(|_| clauses.distinct).map(|sort| (sort.asc, sort.nulls_first));
        piece.order_by = if clauses.distinct { Vec::new() } else { order_by };
        if name == "STRING_AGG" || clauses.ignore_nulls == Some(true) {
            piece = piece.filter(value.expr.is_not_null());
        }
        let ty = piece.ty.clone();
        Ok(Aggregation::finished(piece, move |planner, list| {
            let list = Typed::new(list.expr, ty.clone());
            let list = match sorted {
                Some((asc, nulls_first)) => {
                    let kernel = totals::sorted_list(asc, nulls_first);
                    Self::settled(format!("sorted[{asc} {nulls_first}]"), vec![list], ty, kernel, false)
                }
                None => list,
            };
            let list = most.map_or(list.clone(), |most| Self::limit_array(list, most));
            match delimiter {
                Some(delimiter) => planner.joined_text(list, delimiter),
                None => Ok(list),
            }
        }))
    }

    /// Aggregates over the whole list of values, gathered first.
    fn sampled(
        &self,
        name: &str,
        ignore_nulls: Option<bool>,
        distinct: bool,
        mut args: Vec<Typed>,
    ) -> Result<Aggregation> {
        if distinct || args.len() < 2 {
            return Err(SqlError::unsupported(format!("{name} takes two arguments, without DISTINCT")));
        }
        let number = args.pop().ok_or_else(|| SqlError::syntax(format!("{name} takes a number")))?;
        let mut value = args.remove(0);
        let sort = |expr: Expr| vec![Sort::new(expr, true, true)];
        match name {
            "APPROX_QUANTILES" if Self::orderable(&value.ty) && ignore_nulls != Some(false) => {
                let parts = number.as_int().and_then(|parts| usize::try_from(parts).ok()).filter(|parts| *parts > 0);
                let parts = parts.ok_or_else(|| {
                    SqlError::typed("APPROX_QUANTILES needs a positive number of parts, as a literal")
                })?;
                let ty = SqlType::Array(Box::new(value.ty.clone()));
                let mut piece = Piece::new(array_agg_udaf(), vec![value.expr.clone()], ty.clone());
                piece.order_by = sort(value.expr.clone());
                piece = piece.filter(value.expr.is_not_null());
                Ok(Aggregation::finished(piece, move |_, list| {
                    Ok(Self::settled(
                        format!("quantiles[{parts}]"),
                        vec![Typed::new(list.expr, ty.clone())],
                        ty,
                        totals::quantiles(parts),
                        false,
                    ))
                }))
            }
            "APPROX_TOP_COUNT" if Self::groupable(&value.ty) && Self::orderable(&value.ty) => {
                let most = number.as_int().and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0);
                let most =
                    most.ok_or_else(|| SqlError::typed("APPROX_TOP_COUNT needs a positive number, as a literal"))?;
                let value = Self::group_form(value);
                let list = SqlType::Array(Box::new(value.ty.clone()));
                let counted = vec![("value".to_owned(), value.ty.clone()), ("count".to_owned(), SqlType::Int64)];
                let piece = Piece::new(array_agg_udaf(), vec![value.expr], list.clone());
                Ok(Aggregation::finished(piece, move |_, found| {
                    Ok(Self::settled(
                        format!("top[{most}]"),
                        vec![Typed::new(found.expr, list)],
                        SqlType::Array(Box::new(SqlType::Struct(counted.clone()))),
                        totals::top(most, counted),
                        false,
                    ))
                }))
            }
            "PERCENTILE_CONT" | "PERCENTILE_DISC" if ignore_nulls != Some(false) => {
                let at = self.coerce(number, &SqlType::Float64)?;
                let continuous = name == "PERCENTILE_CONT";
                if continuous {
                    value = self.coerce(value, &SqlType::Float64)?;
                } else if !Self::orderable(&value.ty) {
                    return Err(SqlError::typed(format!("{name} does not take {}", value.ty)));
                }
                let ty = SqlType::Array(Box::new(value.ty.clone()));
                let element = value.ty.clone();
                let mut piece = Piece::new(array_agg_udaf(), vec![value.expr.clone()], ty.clone());
                piece = piece.filter(value.expr.is_not_null());
                let kernel = if continuous { totals::percentile_cont() } else { totals::percentile_disc() };
                let shown = name.to_owned();
                Ok(Aggregation::finished(piece, move |_, list| {
                    Ok(Self::settled(shown, vec![Typed::new(list.expr, ty), at], element, kernel, false))
                }))
            }
            _ => Err(SqlError::unsupported(format!("{name} is not built for {}", value.ty))),
        }
    }
}
