//! Dead rows, left out above the files.
//!
//! Owns: [`LiveRowsExec`], a node that passes on what its input reads except the rows that a vector or the tail marks
//! dead. The input says of every row which file and which row number it has, in two columns of this module's names;
//! they end here. Selections within the files would say the same, but the reader turns them into lists of rows, once
//! for each column and row group, which costs more than reading rows that are scattered and dropping them.
//! Never changes the order of rows, but promises none, or rows would be sorted before the dead ones are out. Does not care
//! which rows the input skips.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use arrow::{
    array::{AsArray as _, BooleanArray, BooleanBufferBuilder},
    compute::filter_record_batch,
    datatypes::{Int64Type, SchemaRef, UInt32Type},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use datafusion::{
    common::{Statistics, config::ConfigOptions, internal_datafusion_err, tree_node::TreeNodeRecursion},
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        RecordBatchStream, ReplaceChildrenOptions,
        filter_pushdown::{ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
        statistics::{ChildStats, StatisticsArgs},
    },
};
use futures::{Stream, StreamExt as _};
use naru_base::number::{u64_from, u64_from_signed, usize_from};
use roaring::RoaringTreemap;

use crate::view::FileId;

/// The input's last two columns: the file's number (`UInt32`) and the row's number in it (`Int64`).
pub(super) const FILE: &str = "_naru_scan_file";
pub(super) const ROW: &str = "_naru_scan_row";

/// Rows that no longer count, by file; a file that is absent has none.
pub(super) type Dead = HashMap<FileId, Arc<RoaringTreemap>>;

/// Passes on the rows that count, without the input's last two columns.
#[derive(Debug, Clone)]
pub(super) struct LiveRowsExec {
    input: Arc<dyn ExecutionPlan>,
    dead: Arc<Dead>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LiveRowsExec {
    /// Over an input whose last two columns are [`FILE`] and [`ROW`].
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, dead: Arc<Dead>) -> Result<Self> {
        let columns: Vec<usize> = (0..input.schema().fields().len().saturating_sub(2)).collect();
        let schema = Arc::new(input.schema().project(&columns)?);
        let width = input.properties().output_partitioning().partition_count();
        let properties = PlanProperties::clone(input.properties())
            .with_eq_properties(EquivalenceProperties::new(schema))
            .with_partitioning(Partitioning::UnknownPartitioning(width));
        Ok(Self { input, dead, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() })
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(input, Arc::clone(&self.dead))?))
    }
}

impl DisplayAs for LiveRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: u64 = self.dead.values().map(|dead| dead.len()).sum();
        write!(f, "LiveRowsExec: dead={rows}, files={}", self.dead.len())
    }
}

impl ExecutionPlan for LiveRowsExec {
    fn name(&self) -> &'static str {
        "LiveRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// Dropping rows is too little work to send rows to another thread for; files are split instead.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| internal_datafusion_err!("{} has one child", self.name()))?;
        match options.children_properties {
            ChildrenPropertiesMode::Keep => Ok(Arc::new(Self { input, ..Self::clone(&self) })),
            ChildrenPropertiesMode::Recompute => self.over(input),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn repartitioned(&self, width: usize, config: &ConfigOptions) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        self.input.repartitioned(width, config)?.map(|input| self.over(input)).transpose()
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok(Box::pin(LiveRows {
            input: self.input.execute(partition, context)?,
            dead: Arc::clone(&self.dead),
            schema: self.schema(),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    /// The input's statistics count only live rows already.
    fn statistics_from_inputs(&self, input: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = input.first().map(|known| Statistics::clone(known)).unwrap_or_default();
        statistics.column_statistics.truncate(self.schema().fields().len());
        Ok(Arc::new(statistics))
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parents: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parents, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        child: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(child))
    }
}

struct LiveRows {
    input: SendableRecordBatchStream,
    dead: Arc<Dead>,
    schema: SchemaRef,
    metrics: BaselineMetrics,
}

impl Stream for LiveRows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.input.poll_next_unpin(context)).map(|batch| {
            let _busy = self.metrics.elapsed_compute().timer();
            live(&batch?, &self.dead, &self.schema)
        });
        self.metrics.record_poll(Poll::Ready(next))
    }
}

impl RecordBatchStream for LiveRows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// The rows of a batch that count, with the columns of `schema`.
fn live(batch: &RecordBatch, dead: &Dead, schema: &SchemaRef) -> Result<RecordBatch> {
    let width = schema.fields().len();
    let mask = mask(batch, dead)?;
    let columns = batch.columns().iter().take(width).cloned().collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
    Ok(match mask {
        None => rows,
        Some(mask) => filter_record_batch(&rows, &mask)?,
    })
}

/// True for rows that count; `None` when all do.
fn mask(batch: &RecordBatch, dead: &Dead) -> Result<Option<BooleanArray>> {
    let lost = || internal_datafusion_err!("a scan lost the origin of its rows");
    let [.., files, rows] = batch.columns() else { return Err(lost()) };
    let (files, rows) = (files.as_primitive_opt::<UInt32Type>(), rows.as_primitive_opt::<Int64Type>());
    let (files, rows) = (files.ok_or_else(lost)?.values(), rows.ok_or_else(lost)?.values());
    let (mut mask, mut at) = (None, 0);
    // A batch is of one file, as files are read; nothing here depends on it.
    for same in files.chunk_by(|one, next| one == next) {
        let end = at + same.len();
        let dead = same.first().and_then(|file| dead.get(&FileId(*file)));
        if let (Some(dead), Some(rows)) = (dead, rows.get(at..end)) {
            mark(rows, dead, |row| mask.get_or_insert_with(|| all(batch.num_rows())).set_bit(at + row, false));
        }
        at = end;
    }
    Ok(mask.map(|mut mask| BooleanArray::new(mask.finish(), None)))
}

/// Calls `kill` with the places of dead rows in `rows`.
fn mark(rows: &[i64], dead: &RoaringTreemap, mut kill: impl FnMut(usize)) {
    let Some(first) = rows.first().copied().map(u64_from_signed) else { return };
    let consecutive = rows.iter().zip(rows.iter().skip(1)).all(|(one, next)| *next == one + 1);
    if consecutive {
        let end = first + u64_from(rows.len());
        let mut among = dead.iter();
        among.advance_to(first);
        among.take_while(|row| *row < end).for_each(|row| kill(usize_from(row - first)));
    } else {
        let gone = rows.iter().enumerate().filter(|(_, row)| dead.contains(u64_from_signed(**row)));
        gone.for_each(|(at, _)| kill(at));
    }
}

fn all(rows: usize) -> BooleanBufferBuilder {
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, true);
    bits
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, UInt32Array};

    use super::*;

    #[test]
    fn exactly_the_dead_rows_of_each_file_are_left_out_in_whatever_order_rows_come() {
        let dead: Dead = [(FileId(1), Arc::new([0, 2, 5].into_iter().collect())), (FileId(2), Arc::default())].into();
        type Rows<'a> = &'a [(u32, i64)];
        let cases: [(Rows<'_>, Rows<'_>); 7] = [
            (&[], &[]),
            (&[(1, 0), (1, 1), (1, 2), (1, 3)], &[(1, 1), (1, 3)]),
            (&[(1, 3), (1, 4)], &[(1, 3), (1, 4)]),
            (&[(1, 4), (1, 5), (1, 0), (1, 1)], &[(1, 4), (1, 1)]),
            (&[(1, 0), (1, 2), (1, 1), (1, 3)], &[(1, 1), (1, 3)]),
            (&[(2, 0), (2, 2), (3, 5), (1, 5), (1, 6)], &[(2, 0), (2, 2), (3, 5), (1, 6)]),
            (&[(1, 2), (2, 2), (1, 0)], &[(2, 2)]),
        ];
        for (rows, expected) in cases {
            let files: ArrayRef = Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.0)));
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
            let shown = [("file", files.clone()), ("row", numbers.clone()), (FILE, files), (ROW, numbers)];
            let batch = RecordBatch::try_from_iter(shown).unwrap();
            let schema = Arc::new(batch.schema().project(&[0, 1]).unwrap());
            let out = live(&batch, &dead, &schema).unwrap();
            let files = out.column(0).as_primitive::<UInt32Type>().values().iter().copied();
            let left: Vec<_> = files.zip(out.column(1).as_primitive::<Int64Type>().values().iter().copied()).collect();
            assert_eq!(left, expected, "{rows:?}");
        }
    }

    #[test]
    fn rows_are_counted_where_no_column_is_wanted() {
        let dead: Dead = [(FileId(1), Arc::new([1].into_iter().collect()))].into();
        let files: ArrayRef = Arc::new(UInt32Array::from(vec![1, 1, 1]));
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, 2]));
        let batch = RecordBatch::try_from_iter([(FILE, files), (ROW, rows)]);
        let out = live(&batch.unwrap(), &dead, &Arc::new(arrow::datatypes::Schema::empty())).unwrap();
        assert_eq!(out.num_rows(), 2);
    }
}
