//! Joins that can be stopped.
//!
//! The engine ends a query's tasks where they wait, and some joins work for minutes between two waits. This pass
//! feeds nested-loop joins in small steps with a pause after each, and lets every join's output take part in the
//! runtime's cooperative budget. Owns: that pass and its one plan node. Changes no row and no order.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::PhysicalExpr,
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, RecordBatchStream,
        ReplaceChildrenOptions,
        coop::CooperativeExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
    },
};
use futures::{Stream, StreamExt};

/// Rows of one step. The join pairs a step with all rows of its other side before it can stop; below a tenth of the
/// engine's batch it pairs several of those at once, so small steps cost little.
const STEP_ROWS: usize = 32;

/// Prepares all joins of a plan.
pub(crate) fn stoppable(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        if node.is::<NestedLoopJoinExec>() {
            let children: Vec<Arc<dyn ExecutionPlan>> = node.children().into_iter().cloned().collect();
            if let [left, right] = children.as_slice() {
                let steps: Arc<dyn ExecutionPlan> = Arc::new(StepsExec { input: right.clone() });
                let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
                let join = node.clone().replace_children(vec![left.clone(), steps], options)?;
                return Ok(cooperative(join));
            }
        }
        if node.is::<HashJoinExec>() || node.is::<CrossJoinExec>() || node.is::<SortMergeJoinExec>() {
            return Ok(cooperative(node));
        }
        Ok(Transformed::no(node))
    })
    .data()
}

fn cooperative(join: Arc<dyn ExecutionPlan>) -> Transformed<Arc<dyn ExecutionPlan>> {
    Transformed::yes(Arc::new(CooperativeExec::new(join)))
}

/// Hands on its input in steps of at most [`STEP_ROWS`] rows and lets other tasks run after each.
#[derive(Debug)]
struct StepsExec {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for StepsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepsExec: rows={STEP_ROWS}")
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
            Some(input) => Ok(Arc::new(Self { input })),
            None => Ok(self),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        Ok(Box::pin(Steps { input, rest: None, pause: false }))
    }
}

struct Steps {
    input: SendableRecordBatchStream,
    rest: Option<RecordBatch>,
    pause: bool,
}

impl Stream for Steps {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let batch = match self.rest.take() {
            Some(batch) => batch,
            None => match self.input.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(batch))) => batch,
                other => return other,
            },
        };
        self.pause = true;
        if batch.num_rows() <= STEP_ROWS {
            return Poll::Ready(Some(Ok(batch)));
        }
        self.rest = Some(batch.slice(STEP_ROWS, batch.num_rows() - STEP_ROWS));
        Poll::Ready(Some(Ok(batch.slice(0, STEP_ROWS))))
    }
}

impl RecordBatchStream for Steps {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
