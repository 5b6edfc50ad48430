//! Functions that take a date part, and functions that take the session's time zone where none is written.

use datafusion::common::ScalarValue;
use sqlparser::ast::{Expr as Ast, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::{
    Planner,
    call::Invoked,
    expr::Cx,
    scope::{Lit, Typed},
};
use crate::{
    error::{Result, SqlError},
    functions::{
        Form, TABLE,
        civil::{Part, Zone},
        date,
    },
    types::SqlType,
};

/// The functions here.
pub(super) const NAMES: &[&str] = &[
    "DATE_ADD",
    "DATE_SUB",
    "DATE_DIFF",
    "DATE_TRUNC",
    "DATETIME_ADD",
    "DATETIME_SUB",
    "DATETIME_DIFF",
    "DATETIME_TRUNC",
    "TIMESTAMP_ADD",
    "TIMESTAMP_SUB",
    "TIMESTAMP_DIFF",
    "TIMESTAMP_TRUNC",
    "TIME_ADD",
    "TIME_SUB",
    "TIME_DIFF",
    "TIME_TRUNC",
    "LAST_DAY",
    "GENERATE_DATE_ARRAY",
    "GENERATE_TIMESTAMP_ARRAY",
    "CURRENT_DATE",
    "CURRENT_DATETIME",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
];

pub(super) fn takes_part(name: &str) -> bool {
    NAMES.contains(&name)
}

/// A part written as an argument: `MONTH`, `WEEK(MONDAY)`.
fn part_of(ast: &Ast) -> Option<Part> {
    match ast {
        Ast::Identifier(ident) => Part::parse(&ident.value),
        Ast::Function(Function { name, args: FunctionArguments::List(list), over: None, .. }) => {
            match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(Ast::Identifier(day)))] => {
                    Part::parse(&format!("{name}({day})"))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The part of a call; `others` are its other arguments, in case it stands among them.
fn need_part(name: &str, ast: &Ast, others: &[&Ast]) -> Result<Part> {
    if let Some(part) = part_of(ast) {
        return Ok(part);
    }
    let error = SqlError::syntax(format!("{name} needs a part, such as DAY, WEEK(MONDAY) or MONTH, got {ast}"));
    let meant = |ast: &Ast| match ast {
        Ast::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
                Part::parse(text).map(|_| text.to_uppercase())
            }
            _ => None,
        },
        other => part_of(other).map(|_| other.to_string().to_uppercase()),
    };
    let Some(part) = std::iter::once(&ast).chain(others).find_map(|ast| meant(ast)) else { return Err(error) };
    let values: Vec<String> =
        others.iter().copied().chain([ast]).filter(|ast| meant(ast).is_none()).map(ToString::to_string).collect();
    let order = if name.ends_with("_DIFF") { " (later first)" } else { "" };
    Err(error.hint(format!("the part stands last, without quotes: write {name}({}, {part}){order}", values.join(", "))))
}

impl Planner<'_> {
    pub(super) fn zone_literal(&self) -> Typed {
        Typed::text(&self.options.time_zone)
    }

    pub(super) fn dated_call(&mut self, call: &Invoked<'_>, cx: &mut Cx) -> Result<Typed> {
        let args = call.plain()?;
        let name = call.name.as_str();
        match name {
            "CURRENT_DATE" | "CURRENT_DATETIME" | "CURRENT_TIME" | "CURRENT_TIMESTAMP" => {
                return self.current(name, &args, cx);
            }
            "LAST_DAY" => return self.last_day(&args, call.safe, cx),
            "GENERATE_DATE_ARRAY" | "GENERATE_TIMESTAMP_ARRAY" => return self.generate(name, &args, call.safe, cx),
            _ => {}
        }
        let (kind, verb) = name.split_once('_').unwrap_or((name, ""));
        match (verb, args.as_slice()) {
            ("ADD" | "SUB", [value, Ast::Interval(interval)]) => {
                let value = self.expr(value, cx)?;
                let (count, part) = self.interval_parts(interval, cx)?;
                let forms = date::add_forms(kind, part, if verb == "ADD" { 1 } else { -1 });
                self.parted(name, part, &forms, vec![value, count], call.safe)
            }
            ("ADD" | "SUB", [_, _]) => Err(SqlError::unsupported(format!("{name} needs INTERVAL with a unit"))
                .hint(format!("write {name}(x, INTERVAL 5 DAY)"))),
            ("DIFF", [a, b, part]) => {
                let part = need_part(name, part, &[a, b])?;
                let args = vec![self.expr(a, cx)?, self.expr(b, cx)?];
                self.parted(name, part, &date::diff_forms(kind, part), args, call.safe)
            }
            ("TRUNC", [value, part, zone @ ..]) if zone.len() <= 1 => {
                let part = need_part(name, part, &[value])?;
                let value = self.expr(value, cx)?;
                let mut args = vec![value];
                match zone.first() {
                    Some(zone) => args.push(self.expr(zone, cx)?),
                    None if args.first().is_some_and(|value| {
                        value.ty == SqlType::Timestamp || (kind == "TIMESTAMP" && value.lit == Lit::Text)
                    }) =>
                    {
                        args.push(self.zone_literal());
                    }
                    None => {}
                }
                self.parted(name, part, &date::trunc_forms(kind, part), args, call.safe)
            }
            _ => Err(SqlError::syntax(format!("{name} has other arguments"))),
        }
    }

    fn parted(&self, name: &str, part: Part, forms: &[Form], args: Vec<Typed>, safe: bool) -> Result<Typed> {
        if forms.is_empty() {
            return Err(SqlError::typed(format!("{name} does not take {part:?}")));
        }
        self.call_form(name, &format!("[{part:?}]"), forms, args, safe)
    }

    fn last_day(&mut self, args: &[&Ast], safe: bool, cx: &mut Cx) -> Result<Typed> {
        let (value, part) = match args {
            [value] => (value, Part::Month),
            [value, part] => (value, need_part("LAST_DAY", part, &[value])?),
            _ => return Err(SqlError::syntax("LAST_DAY takes one or two arguments")),
        };
        let value = self.expr(value, cx)?;
        self.parted("LAST_DAY", part, &date::last_day_forms(part), vec![value], safe)
    }

    fn generate(&mut self, name: &str, args: &[&Ast], safe: bool, cx: &mut Cx) -> Result<Typed> {
        let (first, last, step) = match args {
            [first, last] if name == "GENERATE_DATE_ARRAY" => (first, last, None),
            [first, last, Ast::Interval(step)] => (first, last, Some(step)),
            _ => return Err(SqlError::syntax(format!("{name} takes a first and a last value and INTERVAL 1 DAY"))),
        };
        let (step, part) = match step {
            Some(step) => self.interval_parts(step, cx)?,
            None => (Typed::int(1), Part::Day),
        };
        let args = vec![self.expr(first, cx)?, self.expr(last, cx)?, step];
        let calendar =
            matches!(part, Part::Day | Part::Week(chrono::Weekday::Sun) | Part::Month | Part::Quarter | Part::Year);
        let forms = match name {
            "GENERATE_DATE_ARRAY" if calendar => date::generate_forms(part),
            "GENERATE_TIMESTAMP_ARRAY" if part.clock_unit().is_some() || part == Part::Day => {
                date::generate_instant_forms(part)
            }
            _ => Vec::new(),
        };
        self.parted(name, part, &forms, args, safe)
    }

    /// CURRENT_DATE and its kin: one moment for the whole statement.
    fn current(&mut self, name: &str, args: &[&Ast], cx: &mut Cx) -> Result<Typed> {
        let now =
            Typed::literal(ScalarValue::TimestampMicrosecond(Some(self.now), Some("UTC".into())), SqlType::Timestamp);
        if name == "CURRENT_TIMESTAMP" {
            return if args.is_empty() {
                Ok(now)
            } else {
                Err(SqlError::syntax("CURRENT_TIMESTAMP takes no argument"))
            };
        }
        let zone = match args {
            [] => self.zone_literal(),
            [zone] => self.expr(zone, cx)?,
            _ => return Err(SqlError::syntax(format!("{name} takes at most a time zone"))),
        };
        let constructor = name.trim_start_matches("CURRENT_");
        self.call_form(constructor, "", TABLE.forms(constructor), vec![now, zone], false)
    }

    /// EXTRACT of a part; an instant is read in the zone, which only it may have.
    pub(super) fn extract_part(&self, part: Part, value: Typed, zone: Option<Typed>) -> Result<Typed> {
        let mut args = vec![value];
        match zone {
            Some(zone) => args.push(zone),
            None if args.first().is_some_and(|value| value.ty == SqlType::Timestamp) => args.push(self.zone_literal()),
            None => {}
        }
        self.call_form("EXTRACT", &format!("[{part:?}]"), &date::extract_forms(part), args, false)
    }

    /// Adds the session's zone to the functions of instants that take one last.
    pub(super) fn with_zone_argument(&self, name: &str, mut args: Vec<Typed>) -> Vec<Typed> {
        let first = args.first().map(|arg| (arg.ty.clone(), arg.lit.clone()));
        let is_instant = first.as_ref().is_some_and(|(ty, _)| *ty == SqlType::Timestamp);
        let wanted = match (name, args.len()) {
            ("DATE" | "DATETIME" | "TIME" | "STRING", 1) => is_instant,
            ("TIMESTAMP", 1) | ("FORMAT_TIMESTAMP" | "PARSE_TIMESTAMP", 2) => true,
            _ => false,
        };
        if wanted {
            args.push(self.zone_literal());
        }
        args
    }

    /// Whether the session's zone is one that exists.
    pub(super) fn check_zone(&self) -> Result<()> {
        Zone::parse(&self.options.time_zone)
            .map(|_| ())
            .map_err(|_| SqlError::name(format!("there is no time zone \"{}\"", self.options.time_zone)))
    }
}
