//! `naru up`: everything, in one process, until Ctrl-C or SIGTERM.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use naru_flow::Scheduler;
use naru_project::Settings;
use naru_store::Lock;
use tokio::signal::unix::SignalKind;

use super::Failure;
use crate::{
    home::Home,
    running::{Running, listeners::Listeners, metrics},
};

/// How long `up` waits for a short writer that holds the folder's lock.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Run everything: sync, schedules, servers. Ctrl-C stops cleanly.
#[derive(Debug, Args)]
pub struct Up {}

impl Up {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::open(place)?;
        let up = Everything::start(home).await?;
        tracing::info!(listeners = %up.listeners.addresses(), "naru is up");
        say_how_to_enter(&up.running.home.project.settings);
        stop_signal().await?;
        tracing::info!("stopping; what is read is being flushed");
        up.stop().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// How people open the console, for whoever has just started it.
fn say_how_to_enter(settings: &Settings) {
    match &settings.sign_in {
        Some(sign_in) => tracing::info!(
            url = %sign_in.url,
            redirect_uri = %sign_in.redirect_uri(),
            "people sign in at {}; it must know this redirect URI", sign_in.issuer
        ),
        None if settings.server.http.is_some() => tracing::info!("`naru console` prints a link that opens the console"),
        None => {}
    }
}

/// A whole naru: rooms, doors, schedules, and the folder's lock.
pub struct Everything {
    /// The rooms.
    pub running: Arc<Running>,
    /// The doors.
    pub listeners: Listeners,
    scheduler: tokio::task::JoinHandle<()>,
    _lock: Lock,
}

impl Everything {
    /// Takes the lock and starts all of it.
    pub async fn start(home: Home) -> Result<Self, Failure> {
        let lock_path = home.lock_path()?;
        let lock = tokio::task::spawn_blocking(move || Lock::acquire(&lock_path, "naru up", LOCK_WAIT))
            .await
            .map_err(|error| std::io::Error::other(error.to_string()))?
            .map_err(|error| Failure::from(error.problem()))?;
        let running = Arc::new(Running::start(home, true).await?);
        if let Some(topics) = &running.topics {
            topics.begin().await?;
        }
        let listeners = Listeners::open(&running, metrics::registry(&running)).await?;
        if let Some(running) = &running.topics {
            // Whoever reads topics has said by now what it still needs.
            running.topics.begin_trimming();
        }
        let scheduler = Scheduler::new(running.flow.clone(), running.marts.follow());
        let scheduler = tokio::spawn(scheduler.run(running.stop.clone()));
        Ok(Self { running, listeners, scheduler, _lock: lock })
    }

    /// Closes doors, stops marts, flushes engines.
    pub async fn stop(self) {
        self.listeners.close().await;
        self.running.flow.stop().await;
        self.running.audit.close().await;
        // The last flushes must not wait for a compaction.
        self.running.upkeep.stop().await;
        if let Some(running) = &self.running.topics {
            running.stop().await;
        }
        self.running.stop.cancel();
        if let Err(error) = self.scheduler.await {
            tracing::warn!(%error, "the scheduler ended badly");
        }
        for source in &self.running.sources {
            source.ended().await;
        }
        self.running.rest.begin().await;
        self.running.audit.close().await;
    }
}

async fn stop_signal() -> Result<(), Failure> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
