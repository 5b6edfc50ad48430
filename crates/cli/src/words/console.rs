//! `naru console`: where the console is, and the way in.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Failure;
use crate::{home, remote};

/// Print a link that opens the console. Without sign-in it works once, and signs its browser in as the folder's owner.
#[derive(Debug, Args)]
pub struct Console {}

impl Console {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let client = remote::needed(&home::find(place)?).await?;
        let link = remote::call(&client, "console.link", &json!({}), |_| {}).await?;
        println!("{}", link["url"].as_str().unwrap_or_default());
        Ok(())
    }
}
