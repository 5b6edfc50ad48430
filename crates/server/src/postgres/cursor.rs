//! Cursors: DECLARE, FETCH, MOVE and CLOSE, as psql's FETCH_COUNT and psycopg's named cursors use them.
//!
//! Owns: what a connection's cursors hold, and how many rows are taken from one. A cursor goes forward only.
//! Never runs a query; `handler` starts it.

use std::{collections::VecDeque, sync::Arc};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use naru_warehouse::{ResultSet, WarehouseError};
use tokio::sync::Mutex;

/// An open cursor: a query that waits for its reader.
#[derive(Debug, Clone)]
pub struct Cursor {
    /// Columns, in order.
    pub schema: SchemaRef,
    /// Whether it outlives its transaction.
    pub hold: bool,
    rows: Arc<Mutex<Rows>>,
}

#[derive(Debug)]
struct Rows {
    /// Taken from the result and not handed out.
    ahead: VecDeque<RecordBatch>,
    /// The query, while it may give more.
    result: Option<ResultSet>,
}

impl Cursor {
    /// A cursor over a running query.
    pub fn of_result(result: ResultSet, hold: bool) -> Self {
        let schema = result.schema.clone();
        let rows = Rows { ahead: VecDeque::new(), result: Some(result) };
        Self { schema, hold, rows: Arc::new(Mutex::new(rows)) }
    }

    /// A cursor over rows that are there.
    pub fn of_batches(schema: SchemaRef, batches: Vec<RecordBatch>, hold: bool) -> Self {
        let rows = Rows { ahead: batches.into(), result: None };
        Self { schema, hold, rows: Arc::new(Mutex::new(rows)) }
    }

    /// The next rows, at most `count`; fewer at the end. After an error there is nothing more.
    pub async fn take(&self, count: usize) -> Result<Vec<RecordBatch>, WarehouseError> {
        let mut rows = self.rows.lock().await;
        let (mut taken, mut left) = (Vec::new(), count);
        while left > 0 {
            let Some(batch) = rows.next().await? else { break };
            if batch.num_rows() > left {
                rows.ahead.push_front(batch.slice(left, batch.num_rows() - left));
                taken.push(batch.slice(0, left));
                break;
            }
            left -= batch.num_rows();
            taken.push(batch);
        }
        Ok(taken)
    }
}

impl Rows {
    async fn next(&mut self) -> Result<Option<RecordBatch>, WarehouseError> {
        if let Some(batch) = self.ahead.pop_front() {
            return Ok(Some(batch));
        }
        let Some(result) = &mut self.result else { return Ok(None) };
        match result.next().await {
            Some(Ok(batch)) => Ok(Some(batch)),
            end => {
                self.result = None;
                end.transpose()
            }
        }
    }
}
