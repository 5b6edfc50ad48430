//! What the API needs of the running naru, one file a noun.
//!
//! Owns: [`AllPorts`], which gives each noun its port. Never decides who may ask; the API does.

mod home;
mod marts;
mod sync;
mod topics;

use std::sync::Arc;

use naru_server::api::{
    Ports,
    access::AccessPort,
    home::HomePort,
    marts::MartsPort,
    sync::SyncPort,
    topics::{Doors, TopicsPort},
    work::Works,
};
use naru_topics::subscribe::Subscriptions;
use sync::SyncOf;
use topics::TopicsOf;

use super::Running;

/// The ports of one running naru.
pub struct AllPorts {
    running: Arc<Running>,
    sync: SyncOf,
    topics: Option<TopicsOf>,
    works: Works,
}

impl AllPorts {
    /// Over everything that is open; `doors` are where events come in.
    pub fn new(running: &Arc<Running>, subscriptions: Option<Subscriptions>, doors: Doors) -> Self {
        let topics = running.topics.as_ref().map(|topics| TopicsOf {
            running: running.clone(),
            topics: topics.clone(),
            subscriptions,
            doors,
        });
        Self { running: running.clone(), sync: SyncOf::new(running.clone()), topics, works: Works::default() }
    }
}

impl Ports for AllPorts {
    fn access(&self) -> &dyn AccessPort {
        &*self.running.access
    }

    fn home(&self) -> &dyn HomePort {
        &*self.running
    }

    fn marts(&self) -> &dyn MartsPort {
        &*self.running
    }

    fn sync(&self) -> &dyn SyncPort {
        &self.sync
    }

    fn topics(&self) -> Option<&dyn TopicsPort> {
        self.topics.as_ref().map(|topics| -> &dyn TopicsPort { topics })
    }

    fn works(&self) -> &Works {
        &self.works
    }
}
