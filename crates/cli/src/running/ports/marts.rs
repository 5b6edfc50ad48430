//! What the marts' pages need of the running naru.
//!
//! Owns: nothing; hands on the flow, the graph and the state database. Never decides who may ask.

use std::sync::Arc;

use naru_base::Problem;
use naru_flow::{Flow, Graph};
use naru_server::api::marts::MartsPort;
use naru_store::Store;

use crate::running::Running;

impl MartsPort for Running {
    fn flow(&self) -> &Flow {
        &self.flow
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn graph(&self) -> Arc<Graph> {
        self.marts.graph()
    }

    fn graph_now(&self) -> Result<Arc<Graph>, Problem> {
        Running::graph_now(self)
    }

    fn wrong(&self) -> Vec<Problem> {
        self.marts.wrong()
    }
}
