//! Which tables a statement reads and writes, before anything is planned.
//!
//! CTE names, aliases and paths into arrays (`FROM t, t.items`) are not tables.

use std::ops::ControlFlow;

use sqlparser::{
    ast::{
        FromTable, ObjectName, ObjectNamePart, ObjectType, Query, Select, Statement, TableFactor, TableObject,
        TableVersion, TableWithJoins, Visit, Visitor,
    },
    tokenizer::Span,
};

use crate::statement::Parsed;

/// A table as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// Dotted parts, as written: `[table]`, `[dataset, table]`, `[project, dataset, table]`, longer for
    /// `INFORMATION_SCHEMA` views. `` `p.ds.t` `` counts as three parts.
    pub parts: Vec<String>,
    /// The text after `FOR SYSTEM_TIME AS OF`, if there is one.
    pub as_of: Option<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl TableName {
    pub(crate) fn of(name: &ObjectName) -> Option<Self> {
        let span = name_span(name)?;
        Some(Self {
            parts: name_parts(name)?,
            as_of: None,
            line: usize::try_from(span.start.line).unwrap_or(0),
            column: usize::try_from(span.start.column).unwrap_or(0),
        })
    }
}

/// The dotted parts of a name; a quoted part may hold several.
pub(crate) fn name_parts(name: &ObjectName) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    for part in &name.0 {
        match part {
            ObjectNamePart::Identifier(ident) if ident.quote_style.is_some() => {
                parts.extend(ident.value.split('.').map(ToOwned::to_owned));
            }
            ObjectNamePart::Identifier(ident) => parts.push(ident.value.clone()),
            ObjectNamePart::Function(_) => return None,
        }
    }
    Some(parts)
}

pub(crate) fn name_span(name: &ObjectName) -> Option<Span> {
    match name.0.first()? {
        ObjectNamePart::Identifier(ident) => Some(ident.span),
        ObjectNamePart::Function(function) => Some(function.name.span),
    }
}

/// The tables a statement reads, each once per place it is named, in order of appearance.
pub fn tables(parsed: &Parsed) -> Vec<TableName> {
    let mut reads = Reads::default();
    let _: ControlFlow<()> = parsed.statement.visit(&mut reads);
    reads.found
}

/// The tables a statement creates, changes or drops.
pub fn writes(parsed: &Parsed) -> Vec<TableName> {
    let names: Vec<Option<TableName>> = match &parsed.statement {
        Statement::CreateTable(create) => vec![TableName::of(&create.name)],
        Statement::CreateView(create) => vec![TableName::of(&create.name)],
        Statement::Insert(insert) => match &insert.table {
            TableObject::TableName(name) => vec![TableName::of(name)],
            _ => Vec::new(),
        },
        Statement::Update(update) => vec![factor_name(&update.table)],
        Statement::Delete(delete) => match &delete.from {
            FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from) => {
                from.iter().map(factor_name).collect()
            }
        },
        Statement::Merge(merge) => match &merge.table {
            TableFactor::Table { name, .. } => vec![TableName::of(name)],
            _ => Vec::new(),
        },
        Statement::Truncate(truncate) => truncate.table_names.iter().map(|table| TableName::of(&table.name)).collect(),
        Statement::AlterTable(alter) => vec![TableName::of(&alter.name)],
        Statement::Drop { object_type: ObjectType::Table | ObjectType::View, names, .. } => {
            names.iter().map(TableName::of).collect()
        }
        _ => Vec::new(),
    };
    names.into_iter().flatten().collect()
}

fn factor_name(table: &TableWithJoins) -> Option<TableName> {
    match &table.relation {
        TableFactor::Table { name, .. } => TableName::of(name),
        _ => None,
    }
}

/// The names that hide tables inside one query.
struct Frame {
    /// Each CTE: its body (by address) and its name.
    ctes: Vec<(usize, String)>,
    /// How many of them are in scope now.
    visible: usize,
}

/// Walks a statement, remembering which CTEs and aliases hide tables.
#[derive(Default)]
struct Reads {
    frames: Vec<Frame>,
    aliases: Vec<Vec<Named>>,
    found: Vec<TableName>,
}

/// An item of a FROM clause: which one it is (by address), and the name by which others know it.
struct Named {
    factor: usize,
    alias: String,
}

/// A tree node's identity while the tree is borrowed.
fn address<T>(node: &T) -> usize {
    std::ptr::from_ref(node).addr()
}

impl Reads {
    fn is_cte(&self, name: &str) -> bool {
        self.frames
            .iter()
            .any(|frame| frame.ctes.iter().take(frame.visible).any(|(_, cte)| cte.eq_ignore_ascii_case(name)))
    }

    /// Whether a path in this FROM item begins with an alias: one to its left, or one of a query around it. What
    /// stands to its right hides nothing.
    fn is_alias(&self, name: &str, factor: &TableFactor) -> bool {
        let here = address(factor);
        self.aliases.iter().any(|items| {
            let mine = items.iter().position(|item| item.factor == here).unwrap_or(items.len());
            items.iter().take(mine).any(|item| item.alias.eq_ignore_ascii_case(name))
        })
    }
}

impl Visitor for Reads {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes: Vec<_> = query.with.iter().flat_map(|with| &with.cte_tables).collect();
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        self.frames.push(Frame {
            visible: if recursive { ctes.len() } else { 0 },
            ctes: ctes.iter().map(|cte| (address::<Query>(&cte.query), cte.alias.name.value.clone())).collect(),
        });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.frames.pop();
        if let Some(frame) = self.frames.last_mut()
            && let Some(at) = frame.ctes.iter().position(|(body, _)| *body == address(query))
        {
            frame.visible = frame.visible.max(at + 1);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let mut aliases = Vec::new();
        for from in &select.from {
            from_aliases(from, &mut aliases);
        }
        self.aliases.push(aliases);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &Select) -> ControlFlow<()> {
        self.aliases.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, version, .. } = factor
            && let Some(mut table) = TableName::of(name)
            && let Some(first) = table.parts.first()
        {
            let hidden = if name.0.len() > 1 {
                self.is_alias(first, factor)
            } else {
                table.parts.len() == 1 && self.is_cte(first)
            };
            if !hidden {
                if let Some(TableVersion::ForSystemTimeAsOf(expr)) = version {
                    table.as_of = Some(expr.to_string());
                }
                self.found.push(table);
            }
        }
        ControlFlow::Continue(())
    }
}

fn from_aliases(from: &TableWithJoins, into: &mut Vec<Named>) {
    for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => from_aliases(table_with_joins, into),
            _ => into.push(Named { factor: address(factor), alias: alias_of(factor).unwrap_or_default() }),
        }
    }
}

/// The name by which the rest of the query knows a FROM item.
pub(crate) fn alias_of(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. }
        | TableFactor::Pivot { alias: Some(alias), .. }
        | TableFactor::Unpivot { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } => Some(alias.name.value.clone()),
        TableFactor::Table { name, .. } => name_parts(name)?.pop(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn an_alias_hides_no_table_to_its_left() {
        let read = |sql: &str| -> Vec<String> {
            tables(&parse(sql).unwrap()[0]).into_iter().map(|table| table.parts.join(".")).collect()
        };
        assert_eq!(read("SELECT * FROM m.a AS d, m.b AS m, m.items"), ["m.a", "m.b"]);
        assert_eq!(read("SELECT * FROM shop.orders JOIN x.shop ON TRUE"), ["shop.orders", "x.shop"]);
        assert_eq!(read("SELECT (SELECT COUNT(*) FROM t.items) FROM ds.t"), ["ds.t"]);
    }
}
