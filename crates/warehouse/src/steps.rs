//! Queries that can be stopped, and that leave room for others.
//!
//! The engine ends a query's tasks where they wait, and some operators work for minutes between two waits: a join
//! without equality pairs a whole batch with all rows of its other side, and drops most of the pairs again. This pass
//! over a finished plan puts a [`StepsExec`] where rows come from and where they multiply: it pauses by the clock, and
//! gives joins steps that take no longer than a blink. The residual condition of a join looks at the stop as well,
//! which reaches into the one poll that cannot be made shorter. Owns: that pass, its plan node and its expression.
//! Changes no row and no order.

use std::{
    cell::Cell,
    fmt,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arrow::{
    datatypes::{DataType, FieldRef, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{
    common::{
        JoinSide,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, RecordBatchStream,
        ReplaceChildrenOptions,
        joins::{
            CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
            utils::JoinFilter,
        },
        recursive_query::RecursiveQueryExec,
        unnest::UnnestExec,
    },
};
use futures::{Stream, StreamExt};
use naru_base::number::u64_from;
use tokio_util::sync::CancellationToken;

use crate::{WarehouseError, catalog::through_engine};

/// After this long without a pause a thread pauses what it does: what a person who cancels may wait, and another query.
const PAUSE_EVERY: Duration = Duration::from_millis(10);

thread_local! {
    /// When this thread last began something after a pause.
    static RESTED: Cell<Instant> = Cell::new(Instant::now());
}
/// A step that took longer than this is followed by a smaller one.
const STEP_LONG: Duration = Duration::from_millis(20);
/// A step that took less than this is followed by a larger one.
const STEP_SHORT: Duration = Duration::from_millis(5);
/// Rows of a nested-loop join's first step, before anything is known of its other side. Below a tenth of the engine's
/// batch it pairs several rows of that side at once, so small steps cost little.
const FIRST_STEP_ROWS: usize = 1;
/// Steps never grow beyond this; it is more than any batch has.
const STEP_ROWS_MAX: usize = 1 << 20;

/// Prepares a plan so that cancelling `stop` ends it soon, wherever it is.
pub(crate) fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &CancellationToken) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| prepared(node, stop).map(Transformed::yes)).data()
}

fn prepared(node: Arc<dyn ExecutionPlan>, stop: &CancellationToken) -> Result<Arc<dyn ExecutionPlan>> {
    let node: Arc<dyn ExecutionPlan> = if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let steps = StepsExec::over(join.right().clone(), Some(FIRST_STEP_ROWS), stop);
        let builder = NestedLoopJoinExecBuilder::new(join.left().clone(), steps, *join.join_type());
        let builder = builder.with_projection_ref(join.projection().clone());
        Arc::new(builder.with_filter(join.filter().map(|filter| watched(filter, stop))).build()?)
    } else if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let steps = StepsExec::over(join.right().clone(), Some(STEP_ROWS_MAX), stop);
        let builder = join.builder().with_filter(join.filter().map(|filter| watched(filter, stop)));
        builder.with_new_children(vec![join.left().clone(), steps])?.build_exec()?
    } else if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
        Arc::new(merge_join(join, stop)?)
    } else if node.children().is_empty() || multiplies(&node) {
        node
    } else {
        return Ok(node);
    };
    Ok(StepsExec::over(node, None, stop))
}

/// Whether one row of the input can become many without a wait in between.
fn multiplies(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<CrossJoinExec>() || node.is::<UnnestExec>() || node.is::<RecursiveQueryExec>()
}

fn merge_join(join: &SortMergeJoinExec, stop: &CancellationToken) -> Result<SortMergeJoinExec> {
    let (mut left, mut right) = (join.left.clone(), join.right.clone());
    // Its work between two batches of this side depends on the other one too, so the steps keep their size.
    let probe = if SortMergeJoinExec::probe_side(&join.join_type) == JoinSide::Right { &mut right } else { &mut left };
    *probe = StepsExec::over(probe.clone(), None, stop);
    SortMergeJoinExec::try_new(
        left,
        right,
        join.on.clone(),
        join.filter.as_ref().map(|filter| watched(filter, stop)),
        join.join_type,
        join.sort_options.clone(),
        join.null_equality,
    )
}

fn watched(filter: &JoinFilter, stop: &CancellationToken) -> JoinFilter {
    let expression = Arc::new(Watched { inner: filter.expression().clone(), stop: stop.clone() });
    JoinFilter::new(expression, filter.column_indices().to_vec(), filter.schema().clone())
}

fn cancelled() -> datafusion::error::DataFusionError {
    through_engine(WarehouseError::Cancelled)
}

/// An expression that fails once its query was stopped.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn PhysicalExpr>,
    stop: CancellationToken,
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl PhysicalExpr for Watched {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.is_cancelled() {
            return Err(cancelled());
        }
        self.inner.evaluate(batch)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match children.pop() {
            Some(inner) => Ok(Arc::new(Self { inner, stop: self.stop.clone() })),
            None => Ok(self),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

/// Hands on its input, pausing by the clock, and in steps of few rows where the reader does much with each.
#[derive(Debug)]
pub(crate) struct StepsExec {
    input: Arc<dyn ExecutionPlan>,
    /// Rows of the first step; `None` hands batches on as they are.
    first_rows: Option<usize>,
    stop: CancellationToken,
    /// Rows handed on so far, by all partitions and in all repetitions.
    rows: Arc<AtomicU64>,
}

impl StepsExec {
    fn over(
        input: Arc<dyn ExecutionPlan>,
        first_rows: Option<usize>,
        stop: &CancellationToken,
    ) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, first_rows, stop: stop.clone(), rows: Arc::default() })
    }

    /// Rows that a leaf has handed on; `None` for other inputs. Not every leaf of the engine counts its rows itself.
    pub(crate) fn rows_of_leaf(&self) -> Option<u64> {
        self.input.children().is_empty().then(|| self.rows.load(Ordering::Relaxed))
    }
}

impl DisplayAs for StepsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepsExec: first_rows={:?}", self.first_rows)
    }
}

impl ExecutionPlan for StepsExec {
    fn name(&self) -> &'static str {
        "StepsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => {
                let (first_rows, stop, rows) = (self.first_rows, self.stop.clone(), self.rows.clone());
                Ok(Arc::new(Self { input, first_rows, stop, rows }))
            }
            None => Ok(self),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let step = self.first_rows.map(|rows| Step { rows, rest: None, handed_out: None });
        let (stop, rows) = (self.stop.clone(), self.rows.clone());
        Ok(Box::pin(Steps { input, step, paused: false, stop, rows }))
    }
}

/// How much to hand out at once.
struct Step {
    rows: usize,
    /// What is left of the batch that is being handed out.
    rest: Option<RecordBatch>,
    /// When the last step was.
    handed_out: Option<Instant>,
}

impl Step {
    /// Chooses the next size by what the reader took for the last step. A reader that was away for another reason
    /// makes a step too small for once, and the next ones grow again.
    fn adapt(&mut self, now: Instant) {
        let Some(since) = self.handed_out.take() else { return };
        let took = now.saturating_duration_since(since);
        if took > STEP_LONG {
            self.rows = (self.rows / 2).max(1);
        } else if took < STEP_SHORT {
            self.rows = self.rows.saturating_mul(2).min(STEP_ROWS_MAX);
        }
    }

    /// Cuts the next step off a batch and keeps the rest.
    fn cut(&mut self, batch: RecordBatch) -> RecordBatch {
        self.handed_out = Some(Instant::now());
        // A size that was never needed says nothing about the next batch.
        self.rows = self.rows.min(batch.num_rows().max(FIRST_STEP_ROWS));
        if batch.num_rows() <= self.rows {
            return batch;
        }
        self.rest = Some(batch.slice(self.rows, batch.num_rows() - self.rows));
        batch.slice(0, self.rows)
    }
}

struct Steps {
    input: SendableRecordBatchStream,
    step: Option<Step>,
    /// Whether it let others run when it was last asked. It goes on then, however long they took: on a busy thread it
    /// would otherwise do nothing but pause.
    paused: bool,
    stop: CancellationToken,
    rows: Arc<AtomicU64>,
}

impl Stream for Steps {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stop.is_cancelled() {
            return Poll::Ready(Some(Err(cancelled())));
        }
        let now = Instant::now();
        if let Some(step) = &mut self.step {
            step.adapt(now);
        }
        if std::mem::take(&mut self.paused) {
            RESTED.set(now);
        } else if now.saturating_duration_since(RESTED.get()) > PAUSE_EVERY {
            self.paused = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let batch = match self.step.as_mut().and_then(|step| step.rest.take()) {
            Some(batch) => batch,
            None => match self.input.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(batch))) => {
                    self.rows.fetch_add(u64_from(batch.num_rows()), Ordering::Relaxed);
                    batch
                }
                Poll::Pending => {
                    self.paused = true;
                    return Poll::Pending;
                }
                end @ Poll::Ready(_) => return end,
            },
        };
        Poll::Ready(Some(Ok(match &mut self.step {
            Some(step) => step.cut(batch),
            None => batch,
        })))
    }
}

impl RecordBatchStream for Steps {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
