//! From true columns to what a file holds: stored names, values for columns a file lacks.
//!
//! Owns: [`StoredColumns`], the expression adapter DataFusion asks when it opens a file.
//! Works on expressions, so filters are pruned by the stored column's statistics and defaults fold into constants.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{
    common::{
        ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    physical_expr::{PhysicalExpr, expressions},
    physical_expr_adapter::{DefaultPhysicalExprAdapter, PhysicalExprAdapter, PhysicalExprAdapterFactory},
};

use crate::{error::LakeError, schema, view::TableView};

/// How the columns of one table stand in its files.
#[derive(Debug)]
pub(super) struct StoredColumns {
    /// By true name.
    columns: HashMap<String, Stored>,
}

#[derive(Debug)]
struct Stored {
    name: String,
    /// For files that lack it; `None` means NULL.
    fill: Option<ScalarValue>,
}

impl StoredColumns {
    pub(super) fn of(view: &TableView) -> std::result::Result<Self, LakeError> {
        let columns = view.columns.iter().map(|column| {
            let fill = schema::fill_value(&view.id, column)?;
            Ok::<_, LakeError>((column.name.clone(), Stored { name: column.stored.clone(), fill }))
        });
        Ok(Self { columns: columns.collect::<std::result::Result<_, _>>()? })
    }
}

/// Makes an adapter a file.
#[derive(Debug)]
pub(super) struct Factory(pub(super) Arc<StoredColumns>);

impl PhysicalExprAdapterFactory for Factory {
    fn create(
        &self,
        logical_file_schema: SchemaRef,
        physical_file_schema: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let fields: Vec<Field> = logical_file_schema
            .fields()
            .iter()
            .map(|field| match self.0.columns.get(field.name()) {
                Some(stored) => field.as_ref().clone().with_name(&stored.name),
                None => field.as_ref().clone(),
            })
            .collect();
        let renamed = Arc::new(Schema::new(fields));
        let rest = DefaultPhysicalExprAdapter::new(Arc::clone(&renamed), Arc::clone(&physical_file_schema));
        Ok(Arc::new(Adapter { stored: Arc::clone(&self.0), renamed, physical: physical_file_schema, rest }))
    }
}

#[derive(Debug)]
struct Adapter {
    stored: Arc<StoredColumns>,
    renamed: SchemaRef,
    physical: SchemaRef,
    rest: DefaultPhysicalExprAdapter,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let by_stored_name = expr.transform_down(|node| {
            let Some(column) = node.downcast_ref::<expressions::Column>() else { return Ok(Transformed::no(node)) };
            let Some(stored) = self.stored.columns.get(column.name()) else { return Ok(Transformed::no(node)) };
            let lacking = self.physical.index_of(&stored.name).is_err();
            Ok(Transformed::yes(match &stored.fill {
                Some(value) if lacking => expressions::lit(value.clone()),
                _ => Arc::new(expressions::Column::new(&stored.name, self.renamed.index_of(&stored.name)?)),
            }))
        });
        self.rest.rewrite(by_stored_name.data()?)
    }
}
