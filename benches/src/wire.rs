//! naru's Postgres wire as any client uses it.
//!
//! Owns: making a token and connecting with the URL it prints.

use tokio_postgres::{Client, NoTls};

use crate::world::World;

/// A session on the running naru.
pub async fn connect(world: &World) -> Client {
    let printed = world.naru(&["token", "new", "bench"]);
    let url = printed
        .split_whitespace()
        .find(|word| word.starts_with("postgres://") || word.starts_with("postgresql://"))
        .unwrap_or_else(|| panic!("no connection URL in: {printed}"))
        .to_owned();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("connect to naru");
    tokio::spawn(connection);
    client
}
