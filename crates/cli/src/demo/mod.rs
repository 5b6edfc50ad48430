//! `naru demo`: a throw-away company: its own PostgreSQL under load, synced, with marts and a live page.
//!
//! Owns: the order of the demo and its verdict: it ends badly when anything differs. Everything it makes lies in one
//! temporary folder and is gone at the end, unless `--keep`.
//! Read next: [`cluster`] for the database, [`shop`] for its rows and workload, [`page`] for what is shown.

mod cluster;
mod page;
mod probe;
mod shop;
mod summary;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use naru_base::Problem;
use naru_flow::run::Reason;
use naru_project::{Environment, Project};
use tokio::sync::mpsc;

use crate::{
    failure::Failure,
    home::Home,
    running::{Running, control::watch_run},
    words::up::Everything,
};

/// How long the demo waits for the first copy; the large size takes minutes.
const LIVE_MAX: Duration = Duration::from_mins(30);
/// How often marts run while the demo goes on.
const MARTS_EVERY: Duration = Duration::from_secs(10);

/// A throw-away company: its own database under load, marts, a live page.
#[derive(Debug, Args)]
pub struct Demo {
    /// Rows: tiny (15 thousand order items), small (1 million), large (10 million).
    #[arg(long, value_enum, default_value_t = Size::Small)]
    size: Size,
    /// End by itself this long after everything is live; default: at Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
    /// Keep everything in this folder instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// How many rows the company has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// Seconds.
    Tiny,
    /// About half a minute.
    Small,
    /// Minutes.
    Large,
}

impl Size {
    /// Orders; order items are three times as many.
    pub fn orders(self) -> u64 {
        match self {
            Self::Tiny => 5_000,
            Self::Small => 333_334,
            Self::Large => 3_333_334,
        }
    }
}

impl Demo {
    /// Runs the company and gives the verdict.
    pub async fn run(self) -> Result<(), Failure> {
        let temporary = tempfile::Builder::new().prefix("naru-demo-").tempdir()?;
        let folder = self.keep.clone().unwrap_or_else(|| temporary.path().to_path_buf());
        std::fs::create_dir_all(&folder)?;
        eprintln!("starting a PostgreSQL of its own in {}", folder.display());
        let cluster = cluster::Cluster::start(&folder).await?;
        let filled = Instant::now();
        eprintln!("filling the shop ({} order items)", self.size.orders() * 3);
        shop::fill(&cluster.url(), self.size).await?;
        eprintln!("filled in {:.1} s", filled.elapsed().as_secs_f64());
        let home = company(&folder.join("shop"), &cluster.url())?;
        let up = Everything::start(home).await?;
        let verdict = self.live(&up, &cluster.url()).await;
        up.stop().await;
        cluster.stop();
        verdict
    }

    /// From the first copy to the summary.
    async fn live(&self, up: &Everything, url: &str) -> Result<(), Failure> {
        let running = &up.running;
        let mut page = page::Page::new();
        let workload = shop::Workload::start(url).await?;
        let began = Instant::now();
        wait_live(running, &mut page).await?;
        let copied = began.elapsed();
        let probe = probe::Probe::start(url, running.warehouse.clone()).await?;
        let mut marts = summary::Marts::default();
        let ends = self.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut next_run = Instant::now();
        let stop = tokio::signal::ctrl_c();
        tokio::pin!(stop);
        while ends.is_none_or(|end| Instant::now() < end) {
            if Instant::now() >= next_run {
                marts.add(run_marts(running).await?);
                next_run = Instant::now() + MARTS_EVERY;
            }
            page.draw(&running.status().await, probe.latest());
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
                _ = &mut stop => break,
            }
        }
        page.close(&running.status().await);
        let changes = workload.stop().await;
        let freshness = probe.stop().await;
        let compared = running.compare(None).await?;
        let summary = summary::Summary { copied, changes, freshness, marts, compared };
        print!("{}", summary.text());
        if summary.good() { Ok(()) } else { Err(Failure::Said) }
    }
}

async fn wait_live(running: &Running, page: &mut page::Page) -> Result<(), Failure> {
    let end = Instant::now() + LIVE_MAX;
    loop {
        let status = running.status().await;
        page.draw(&status, None);
        let sources = &status["sources"];
        let tables =
            || sources.as_array().into_iter().flatten().flat_map(|s| s["tables"].as_array().into_iter().flatten());
        if let Some(broken) = tables().find(|table| table["state"] == "quarantined") {
            return Err(Problem::new("demo.quarantined", format!("table {} stopped", broken["source_table"]))
                .detail(broken["reason"].to_string())
                .into());
        }
        if tables().count() >= shop::TABLES && status["ready"] == true {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(Problem::new("demo.slow", "the first copy did not end in time").into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn run_marts(running: &Running) -> Result<naru_flow::run::RunReport, Failure> {
    let handle = running.run_marts(&[], Reason::Manual, None).await?;
    let (send, mut steps) = mpsc::channel(64);
    // The page shows states; single steps are read so that the run never waits for a reader.
    let reader = tokio::spawn(async move { while steps.recv().await.is_some() {} });
    let report = watch_run(running, handle, &send).await?;
    drop(send);
    if reader.await.is_err() {
        tracing::debug!("the reader of steps ended badly");
    }
    Ok(report)
}

/// Writes the example company's folder; its marts are part of the binary.
fn company(folder: &Path, url: &str) -> Result<Home, Failure> {
    for (file, text) in FILES {
        let path = folder.join(file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text)?;
    }
    let doors = "\n[server]             # the demo takes any free port; `naru status --json` shows them\nhttp = 0\npostgres = 0\npubsub = false\n";
    let settings = folder.join("naru.toml");
    let text = std::fs::read_to_string(&settings)? + doors;
    std::fs::write(&settings, text)?;
    let environment = Environment::of_process().with("SHOP_URL", url);
    let project = Project::load(folder, &environment).sound().map_err(Failure::Problems)?;
    Ok(Home { project })
}

macro_rules! example {
    ($($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../../../../examples/shop/", $file)))),+]
    };
}

/// The example company, as it stands in `examples/shop`.
const FILES: &[(&str, &str)] = example![
    "naru.toml",
    "sources/shop.toml",
    "checks/no_orders_from_the_future.sql",
    "checks/sales_match_orders.sql",
    "marts/customer/customer_value.sql",
    "marts/finance/category_sales.sql",
    "marts/finance/daily_payments.sql",
    "marts/finance/daily_sales.sql",
    "marts/staging/customers.sql",
    "marts/staging/order_lines.sql",
    "marts/staging/orders.sql",
];
