//! The tables beside the text in which SQL is written.
//!
//! Owns: the list by dataset, what fits a search in it, one table's columns. Names a caller may not see are not there,
//! whether they exist or not. Never opens a table: it shows the names that completion knows.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use naru_base::{Problem, TableId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::{Api, ApiProblem},
    signin::caller::Caller,
};

/// Tables that a search shows, at most; who has more types more.
const FOUND_MAX: usize = 300;

/// What is listed.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Which {
    /// A part of a table's or column's name, in any case.
    #[serde(default)]
    find: Option<String>,
    /// The dataset whose tables are listed.
    #[serde(default)]
    dataset: Option<String>,
}

/// A table in the list.
#[derive(Debug, Serialize, ToSchema)]
struct ListedTable {
    name: String,
}

/// A dataset.
#[derive(Debug, Serialize, ToSchema)]
struct ListedDataset {
    name: String,
    /// Tables in it that the caller may see.
    tables: usize,
    /// Its tables: of the dataset that was asked for, or those that fit what is looked for.
    items: Option<Vec<ListedTable>>,
}

/// All datasets, or those with tables that fit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TreeView {
    datasets: Vec<ListedDataset>,
}

/// A column.
#[derive(Debug, Serialize, ToSchema)]
struct ListedColumn {
    name: String,
    /// Its GoogleSQL type.
    #[serde(rename = "type")]
    sql_type: String,
}

/// A table with its columns.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TableView {
    dataset: String,
    name: String,
    columns: Vec<ListedColumn>,
}

/// Datasets and tables that the caller may see.
#[utoipa::path(get, path = "/api/v1/queries/tree", tag = "queries", params(Which),
    responses((status = 200, body = TreeView)))]
pub(super) async fn tree(
    State(api): State<Api>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Json<TreeView>, ApiProblem> {
    let find = which.find.as_deref().map(str::to_lowercase).filter(|find| !find.is_empty());
    let mut datasets: BTreeMap<String, ListedDataset> = BTreeMap::new();
    let mut found = 0;
    let look = |id: &TableId, columns: &[(String, String)]| {
        let dataset = datasets.entry(id.dataset.clone()).or_insert_with(|| ListedDataset {
            name: id.dataset.clone(),
            tables: 0,
            items: None,
        });
        dataset.tables += 1;
        let listed = match &find {
            Some(find) => found < FOUND_MAX && fits(id, columns, find),
            None => which.dataset.as_ref() == Some(&id.dataset),
        };
        if listed {
            found += 1;
            dataset.items.get_or_insert_default().push(ListedTable { name: id.table.clone() });
        }
    };
    api.queries.completer.tables(&caller.principal, look).await.map_err(|error| error.problem())?;
    let searched = find.is_some();
    let datasets = datasets.into_values().filter(|dataset| !searched || dataset.items.is_some()).collect();
    Ok(Json(TreeView { datasets }))
}

fn fits(id: &TableId, columns: &[(String, String)], find: &str) -> bool {
    let mut names = columns.iter().map(|(name, _)| name);
    id.to_string().to_lowercase().contains(find) || names.any(|name| name.to_lowercase().contains(find))
}

/// One table's columns.
#[utoipa::path(get, path = "/api/v1/queries/tree/{dataset}/{table}", tag = "queries",
    params(("dataset" = String, Path), ("table" = String, Path)),
    responses((status = 200, body = TableView), (status = 404, body = crate::api::ProblemBody)))]
pub(super) async fn table(
    State(api): State<Api>,
    caller: Caller,
    Path((dataset, name)): Path<(String, String)>,
) -> Result<Json<TableView>, ApiProblem> {
    let mut columns = None;
    let look = |id: &TableId, known: &[(String, String)]| {
        if id.dataset == dataset && id.table == name {
            let listed =
                known.iter().map(|(name, sql_type)| ListedColumn { name: name.clone(), sql_type: sql_type.clone() });
            columns = Some(listed.collect());
        }
    };
    api.queries.completer.tables(&caller.principal, look).await.map_err(|error| error.problem())?;
    let columns = columns.ok_or_else(|| ApiProblem::not_found(unknown(&dataset, &name)))?;
    Ok(Json(TableView { dataset, name, columns }))
}

fn unknown(dataset: &str, name: &str) -> Problem {
    Problem::new("query.no_such_table", format!("there is no table \"{dataset}.{name}\""))
        .hint("It may have another name, or you may not see it: look through the list.")
}
