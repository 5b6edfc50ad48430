//! `*`, `t.*`, and their EXCEPT and REPLACE.

use sqlparser::ast::{Expr as Ast, Ident, SelectItemQualifiedWildcardKind, WildcardAdditionalOptions};

use super::{
    Planner,
    expr::Cx,
    scope::{Relation, Scope, Typed, column_expr},
};
use crate::{
    error::{Result, SqlError},
    reads::name_parts,
    types::SqlType,
};

/// An item of the select list, planned: its name and value.
pub(super) type Item = (String, Typed);

impl Planner<'_> {
    /// The columns of one relation; a value that is a STRUCT stands for its fields.
    fn relation_items(relation: &Relation, merged_too: bool) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for (column, merged) in relation.columns.iter().zip(&relation.merged) {
            if *merged && !merged_too {
                continue;
            }
            let value = Typed::new(column_expr(&column.id), column.ty.clone());
            match (&column.ty, relation.value) {
                (SqlType::Struct(fields), true) => {
                    for (at, (name, _)) in fields.iter().enumerate() {
                        items.push((name.clone(), Self::field_at(value.clone(), at)?));
                    }
                }
                _ => items.push((column.name.clone(), value)),
            }
        }
        Ok(items)
    }

    /// `*`.
    pub(super) fn star(&mut self, options: &WildcardAdditionalOptions, cx: &mut Cx) -> Result<Vec<Item>> {
        if cx.scope.relations.is_empty() {
            return Err(SqlError::syntax("SELECT * needs FROM"));
        }
        let relations = cx.scope.relations.clone();
        let mut items = Vec::new();
        for relation in relations.iter().filter(|relation| !relation.pseudo) {
            items.extend(Self::relation_items(relation, false)?);
        }
        self.adjusted(items, options, cx)
    }

    /// `t.*` and `value.*`.
    pub(super) fn qualified_star(
        &mut self,
        kind: &SelectItemQualifiedWildcardKind,
        options: &WildcardAdditionalOptions,
        cx: &mut Cx,
    ) -> Result<Vec<Item>> {
        let value = match kind {
            SelectItemQualifiedWildcardKind::ObjectName(name) => {
                let parts = name_parts(name).unwrap_or_default();
                if let [alias] = parts.as_slice()
                    && let Some(relation) = cx.scope.relation(alias).cloned()
                {
                    let items = Self::relation_items(&relation, true)?;
                    return self.adjusted(items, options, cx);
                }
                let path: Vec<Ident> = parts.into_iter().map(Ident::new).collect();
                self.expr(&Ast::CompoundIdentifier(path), cx)?
            }
            SelectItemQualifiedWildcardKind::Expr(expr) => self.expr(expr, cx)?,
        };
        let SqlType::Struct(fields) = value.ty.clone() else {
            return Err(SqlError::typed(format!(".* of {}", value.ty)));
        };
        let mut items = Vec::new();
        for (at, (name, _)) in fields.into_iter().enumerate() {
            items.push((name, Self::field_at(value.clone(), at)?));
        }
        self.adjusted(items, options, cx)
    }

    /// EXCEPT and REPLACE.
    fn adjusted(
        &mut self,
        mut items: Vec<Item>,
        options: &WildcardAdditionalOptions,
        cx: &mut Cx,
    ) -> Result<Vec<Item>> {
        if options.opt_ilike.is_some()
            || options.opt_exclude.is_some()
            || options.opt_rename.is_some()
            || options.opt_alias.is_some()
        {
            return Err(SqlError::unsupported("only EXCEPT and REPLACE may follow * in GoogleSQL"));
        }
        if let Some(except) = &options.opt_except {
            for name in std::iter::once(&except.first_element).chain(&except.additional_elements) {
                let before = items.len();
                items.retain(|(column, _)| !column.eq_ignore_ascii_case(&name.value));
                if items.len() == before {
                    return Err(
                        SqlError::name(format!("EXCEPT names \"{}\", which * does not have", name.value)).at(name.span)
                    );
                }
            }
        }
        for element in options.opt_replace.iter().flat_map(|replace| &replace.items) {
            let value = self.expr(&element.expr, cx)?;
            let target = items.iter_mut().find(|(column, _)| column.eq_ignore_ascii_case(&element.column_name.value));
            let missing = || {
                SqlError::name(format!("REPLACE names \"{}\", which * does not have", element.column_name.value))
                    .at(element.column_name.span)
            };
            target.ok_or_else(missing)?.1 = value;
        }
        if items.is_empty() {
            return Err(SqlError::syntax("* has no columns left"));
        }
        Ok(items)
    }

    /// The relations of a scope as they are seen by `*`, for GROUP BY ALL and pipes.
    pub(super) fn visible(scope: &Scope) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for relation in scope.relations.iter().filter(|relation| !relation.pseudo) {
            items.extend(Self::relation_items(relation, false)?);
        }
        Ok(items)
    }
}
