//! Window calls: the function, its partition, its order and its frame.

use datafusion::{
    common::ScalarValue,
    functions_window::{
        cume_dist::cume_dist_udwf,
        lead_lag::{lag_udwf, lead_udwf},
        nth_value::{first_value_udwf, last_value_udwf, nth_value_udwf},
        ntile::ntile_udwf,
        rank::{dense_rank_udwf, percent_rank_udwf, rank_udwf},
        row_number::row_number_udwf,
    },
    logical_expr::{
        Expr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, cast,
        expr::{NullTreatment, Sort, WindowFunction, WindowFunctionParams},
        lit,
    },
};
use sqlparser::ast::{
    Expr as Ast, FunctionArgumentClause, NamedWindowExpr, NullTreatment as AstNulls, WindowFrame as AstFrame,
    WindowFrameBound as AstBound, WindowFrameUnits as AstUnits, WindowSpec, WindowType,
};

use super::{
    Planner, aggregate,
    call::Invoked,
    expr::Cx,
    scope::{Typed, column_expr},
};
use crate::{
    error::{Result, SqlError},
    types::SqlType,
};

/// Functions that exist only with OVER.
pub(super) const NAMES: &[&str] = &[
    "ROW_NUMBER",
    "RANK",
    "DENSE_RANK",
    "PERCENT_RANK",
    "CUME_DIST",
    "NTILE",
    "LAG",
    "LEAD",
    "FIRST_VALUE",
    "LAST_VALUE",
    "NTH_VALUE",
];

pub(super) fn is_window_only(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The parts of OVER.
struct Over {
    partition_by: Vec<Expr>,
    order_by: Vec<Sort>,
    frame: Option<WindowFrame>,
}

/// A window function below, and the SQL type its raw result is read as.
struct Shape {
    fun: WindowFunctionDefinition,
    args: Vec<Expr>,
    filter: Option<Expr>,
    distinct: bool,
    nulls: Option<NullTreatment>,
    ty: SqlType,
}

impl Planner<'_> {
    /// Plans a call with OVER.
    pub(super) fn window_call(&mut self, call: &Invoked<'_>, cx: &mut Cx) -> Result<Typed> {
        if cx.windows.is_none() {
            return Err(SqlError::syntax(format!("{} has OVER, which {} cannot have", call.name, cx.clause)));
        }
        if call.safe {
            return Err(SqlError::unsupported("SAFE. before a window function"));
        }
        let mut inner = Cx { windows: None, aggregates: cx.aggregates.take(), ..cx.inner("a window function's part") };
        let named = cx.named_windows.clone();
        let planned = self.over(call, &named, &mut inner);
        let answer = match planned {
            Ok(over) if is_window_only(&call.name) => self.numbering(call, over, &mut inner, cx),
            Ok(over) if aggregate::is_aggregate(&call.name) => self.windowed_aggregate(call, over, &mut inner, cx),
            Ok(_) => Err(SqlError::name(format!("there is no window function {}", call.name))),
            Err(error) => Err(error),
        };
        cx.aggregates = inner.aggregates;
        answer
    }

    fn windowed_aggregate(&mut self, call: &Invoked<'_>, over: Over, inner: &mut Cx, cx: &mut Cx) -> Result<Typed> {
        let aggregation = self.aggregation(call, inner)?;
        let mut results = Vec::new();
        for piece in aggregation.pieces {
            if !piece.order_by.is_empty() || piece.distinct {
                return Err(SqlError::unsupported(format!(
                    "DISTINCT or ORDER BY inside {} with OVER is not built",
                    call.name
                )));
            }
            let shape = Shape {
                fun: WindowFunctionDefinition::AggregateUDF(piece.udaf),
                args: piece.args,
                filter: piece.filter,
                distinct: piece.distinct,
                nulls: piece.nulls,
                ty: piece.ty,
            };
            results.push(self.register(call, shape, &over, cx)?);
        }
        (aggregation.finish)(self, results)
    }

    /// Notes a window call and refers to its column.
    fn register(&mut self, call: &Invoked<'_>, shape: Shape, over: &Over, cx: &mut Cx) -> Result<Typed> {
        let frame =
            over.frame.clone().unwrap_or_else(|| WindowFrame::new((!over.order_by.is_empty()).then_some(false)));
        let params = WindowFunctionParams {
            args: shape.args,
            partition_by: over.partition_by.clone(),
            order_by: over.order_by.clone(),
            window_frame: frame,
            filter: shape.filter.map(Box::new),
            null_treatment: shape.nulls,
            distinct: shape.distinct,
        };
        let expr = Expr::WindowFunction(Box::new(WindowFunction { fun: shape.fun, params }));
        let fresh = self.fresh(&call.name.to_lowercase());
        let Some(known) = cx.windows.as_mut() else { return Err(SqlError::syntax("OVER out of place")) };
        let id = if let Some((_, id)) = known.iter().find(|(other, _)| *other == expr) {
            id.clone()
        } else {
            known.push((expr, fresh.clone()));
            fresh
        };
        Ok(Typed::new(column_expr(&id), shape.ty))
    }

    /// The functions that exist only with OVER.
    fn numbering(&mut self, call: &Invoked<'_>, mut over: Over, inner: &mut Cx, cx: &mut Cx) -> Result<Typed> {
        let name = call.name.as_str();
        let nulls = window_nulls(call)?;
        let list = call.list()?;
        let mut args = Vec::new();
        for ast in list.map(|list| call.unnamed(list)).transpose()?.unwrap_or_default() {
            args.push(self.expr(ast, inner)?);
        }
        let is_value = matches!(name, "FIRST_VALUE" | "LAST_VALUE" | "NTH_VALUE");
        if !is_value && over.frame.is_some() {
            return Err(SqlError::syntax(format!("{name} takes no window frame")));
        }
        if over.order_by.is_empty() && name != "ROW_NUMBER" && !is_value {
            return Err(SqlError::syntax(format!("{name} needs ORDER BY inside OVER")));
        }
        if nulls.is_some() && !is_value {
            return Err(SqlError::unsupported(format!("IGNORE NULLS inside {name} is not GoogleSQL")));
        }
        let shape = self.numbering_shape(name, args, nulls)?;
        if !is_value {
            over.frame = None;
        }
        let ty = shape.ty.clone();
        let raw_int = matches!(name, "ROW_NUMBER" | "RANK" | "DENSE_RANK" | "NTILE");
        let result = self.register(call, shape, &over, cx)?;
        Ok(if raw_int { Typed::new(cast(result.expr, SqlType::Int64.arrow()), ty) } else { result })
    }

    fn numbering_shape(&self, name: &str, mut args: Vec<Typed>, nulls: Option<NullTreatment>) -> Result<Shape> {
        let shape = |fun, args: Vec<Expr>, ty| {
            Ok(Shape { fun: WindowFunctionDefinition::WindowUDF(fun), args, filter: None, distinct: false, nulls, ty })
        };
        let none = args.is_empty();
        match (name, args.len()) {
            ("ROW_NUMBER", 0) => shape(row_number_udwf(), Vec::new(), SqlType::Int64),
            ("RANK", 0) => shape(rank_udwf(), Vec::new(), SqlType::Int64),
            ("DENSE_RANK", 0) => shape(dense_rank_udwf(), Vec::new(), SqlType::Int64),
            ("PERCENT_RANK", 0) => shape(percent_rank_udwf(), Vec::new(), SqlType::Float64),
            ("CUME_DIST", 0) => shape(cume_dist_udwf(), Vec::new(), SqlType::Float64),
            ("NTILE", 1) => {
                let parts = args.pop().and_then(|arg| arg.as_int()).filter(|parts| *parts > 0);
                let parts = parts.ok_or_else(|| SqlError::typed("NTILE needs a positive number, as a literal"))?;
                shape(ntile_udwf(), vec![lit(parts)], SqlType::Int64)
            }
            ("LAG" | "LEAD", 1..=3) => self.shifted(name, args),
            ("FIRST_VALUE" | "LAST_VALUE", 1) => {
                let value = args.remove(0);
                let fun = if name == "FIRST_VALUE" { first_value_udwf() } else { last_value_udwf() };
                shape(fun, vec![value.expr], value.ty)
            }
            ("NTH_VALUE", 2) => {
                let at = args.pop().and_then(|arg| arg.as_int()).filter(|at| *at > 0);
                let at = at.ok_or_else(|| SqlError::typed("NTH_VALUE needs a positive position, as a literal"))?;
                let value = args.remove(0);
                shape(nth_value_udwf(), vec![value.expr, lit(at)], value.ty)
            }
            _ => Err(SqlError::syntax(format!(
                "{name} has {} arguments",
                if none { "no".into() } else { args.len().to_string() }
            ))),
        }
    }

    fn shifted(&self, name: &str, mut args: Vec<Typed>) -> Result<Shape> {
        let default = if args.len() == 3 { args.pop() } else { None };
        let by = if args.len() == 2 { args.pop() } else { None };
        let value = args.remove(0);
        let by = match by {
            None => 1,
            Some(by) => by
                .as_int()
                .filter(|by| *by >= 0)
                .ok_or_else(|| SqlError::typed(format!("{name} needs a literal offset of 0 or more")))?,
        };
        let mut exprs = vec![value.expr, lit(by)];
        if let Some(default) = default {
            let default = self.coerce(default, &value.ty)?;
            if !matches!(default.expr, Expr::Literal(..)) {
                return Err(SqlError::unsupported(format!(
                    "{name} with a default that is not a literal of the value's own type"
                )));
            }
            exprs.push(default.expr);
        }
        let fun = if name == "LAG" { lag_udwf() } else { lead_udwf() };
        Ok(Shape {
            fun: WindowFunctionDefinition::WindowUDF(fun),
            args: exprs,
            filter: None,
            distinct: false,
            nulls: None,
            ty: value.ty,
        })
    }

    fn over(
        &mut self,
        call: &Invoked<'_>,
        named: &[sqlparser::ast::NamedWindowDefinition],
        cx: &mut Cx,
    ) -> Result<Over> {
        match &call.function.over {
            Some(WindowType::WindowSpec(spec)) => self.window_spec(spec, named, cx, 0),
            Some(WindowType::NamedWindow(name)) => self.named_window(&name.value, named, cx, 0),
            None => Err(SqlError::syntax("no OVER")),
        }
    }

    fn named_window(
        &mut self,
        name: &str,
        named: &[sqlparser::ast::NamedWindowDefinition],
        cx: &mut Cx,
        depth: usize,
    ) -> Result<Over> {
        let found = named.iter().find(|window| window.0.value.eq_ignore_ascii_case(name));
        let found =
            found.filter(|_| depth < 20).ok_or_else(|| SqlError::name(format!("there is no window \"{name}\"")))?;
        match &found.1 {
            NamedWindowExpr::NamedWindow(other) => self.named_window(&other.value, named, cx, depth + 1),
            NamedWindowExpr::WindowSpec(spec) => self.window_spec(spec, named, cx, depth + 1),
        }
    }

    fn window_spec(
        &mut self,
        spec: &WindowSpec,
        named: &[sqlparser::ast::NamedWindowDefinition],
        cx: &mut Cx,
        depth: usize,
    ) -> Result<Over> {
        let mut over = match &spec.window_name {
            Some(base) => self.named_window(&base.value, named, cx, depth)?,
            None => Over { partition_by: Vec::new(), order_by: Vec::new(), frame: None },
        };
        for key in &spec.partition_by {
            let key = self.expr(key, cx)?;
            if !Self::groupable(&key.ty) {
                return Err(SqlError::typed(format!("PARTITION BY does not take {}", key.ty)));
            }
            over.partition_by.push(Self::group_form(key).expr);
        }
        for item in &spec.order_by {
            let (key, asc, nulls_first) = self.order_item(item, cx)?;
            over.order_by.push(Sort::new(key.expr, asc, nulls_first));
        }
        if let Some(frame) = &spec.window_frame {
            over.frame = Some(self.frame(frame, &over, cx)?);
        }
        Ok(over)
    }

    fn frame(&mut self, frame: &AstFrame, over: &Over, cx: &mut Cx) -> Result<WindowFrame> {
        let units = match frame.units {
            AstUnits::Rows => WindowFrameUnits::Rows,
            AstUnits::Range => WindowFrameUnits::Range,
            AstUnits::Groups => {
                return Err(SqlError::unsupported("GROUPS frames are not GoogleSQL").hint("write ROWS or RANGE"));
            }
        };
        let start = self.bound(&frame.start_bound, units, cx)?;
        let end = match &frame.end_bound {
            Some(end) => self.bound(end, units, cx)?,
            None => WindowFrameBound::CurrentRow,
        };
        let counted = |bound: &WindowFrameBound| matches!(bound, WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) if !value.is_null());
        if units == WindowFrameUnits::Range && (counted(&start) || counted(&end)) && over.order_by.len() != 1 {
            return Err(SqlError::typed("RANGE with a distance needs exactly one ORDER BY key"));
        }
        if matches!(&start, WindowFrameBound::Following(value) if value.is_null())
            || matches!(&end, WindowFrameBound::Preceding(value) if value.is_null())
        {
            return Err(SqlError::syntax("a frame cannot start at its end"));
        }
        if over.order_by.is_empty() && units == WindowFrameUnits::Range && (counted(&start) || counted(&end)) {
            return Err(SqlError::syntax("RANGE needs ORDER BY"));
        }
        Ok(WindowFrame::new_bounds(units, start, end))
    }

    fn bound(&mut self, bound: &AstBound, units: WindowFrameUnits, cx: &mut Cx) -> Result<WindowFrameBound> {
        let mut distance = |ast: &Option<Box<Ast>>| -> Result<ScalarValue> {
            let Some(ast) = ast else {
                return Ok(if units == WindowFrameUnits::Rows { ScalarValue::UInt64(None) } else { ScalarValue::Null });
            };
            let count = self.expr(ast, cx)?.as_int().and_then(|count| u64::try_from(count).ok());
            let count = count.ok_or_else(|| SqlError::typed("a frame's distance must be a literal of 0 or more"))?;
            Ok(if units == WindowFrameUnits::Rows {
                ScalarValue::UInt64(Some(count))
            } else {
                ScalarValue::Int64(i64::try_from(count).ok())
            })
        };
        Ok(match bound {
            AstBound::CurrentRow => WindowFrameBound::CurrentRow,
            AstBound::Preceding(count) => WindowFrameBound::Preceding(distance(count)?),
            AstBound::Following(count) => WindowFrameBound::Following(distance(count)?),
        })
    }
}

fn window_nulls(call: &Invoked<'_>) -> Result<Option<NullTreatment>> {
    let Some(list) = call.list()? else { return Ok(None) };
    if list.duplicate_treatment.is_some() {
        return Err(SqlError::syntax(format!("{} takes no DISTINCT", call.name)));
    }
    let mut nulls = None;
    for clause in &list.clauses {
        nulls = Some(match clause {
            FunctionArgumentClause::IgnoreOrRespectNulls(AstNulls::IgnoreNulls) => NullTreatment::IgnoreNulls,
            FunctionArgumentClause::IgnoreOrRespectNulls(AstNulls::RespectNulls) => NullTreatment::RespectNulls,
            other => return Err(SqlError::unsupported(format!("{other} inside {}", call.name))),
        });
    }
    Ok(nulls)
}
