//! What the topics' pages need of the running naru.
//!
//! Owns: nothing; hands on the open topics, their subscriptions and forwards, and replays as `naru dead` does. Never
//! decides who may ask.

use std::sync::Arc;

use async_trait::async_trait;
use naru_base::Problem;
use naru_server::api::topics::{Chosen, Doors, TopicsPort};
use naru_topics::{Topics, forward::ForwardStatus, subscribe::Subscriptions};
use serde_json::{Value, json};

use crate::running::{Running, letters, topics::RunningTopics};

/// See the module.
pub struct TopicsOf {
    /// What is open.
    pub running: Arc<Running>,
    /// Its topics.
    pub topics: Arc<RunningTopics>,
    /// Subscriptions over them.
    pub subscriptions: Option<Subscriptions>,
    /// Where events come in.
    pub doors: Doors,
}

#[async_trait]
impl TopicsPort for TopicsOf {
    fn topics(&self) -> &Topics {
        &self.topics.topics
    }

    fn subscriptions(&self) -> Option<&Subscriptions> {
        self.subscriptions.as_ref()
    }

    fn forwards(&self) -> Vec<ForwardStatus> {
        self.topics.edges.get().map(|edges| edges.status().0).unwrap_or_default()
    }

    fn edited(&self) -> Vec<String> {
        self.topics.files.for_the_next_start()
    }

    fn doors(&self) -> Doors {
        self.doors.clone()
    }

    async fn replay(&self, chosen: &Chosen) -> Result<Value, Problem> {
        let asked = letters::Replay {
            topic: chosen.topic.clone(),
            filter: chosen.filter.clone(),
            set: chosen.set.clone(),
            with_sql: chosen.with_sql.clone(),
            dry_run: chosen.dry_run,
            force: chosen.force,
        };
        letters::replay(&self.running.warehouse, &self.topics, &asked).await.map(|done| json!(done))
    }
}
