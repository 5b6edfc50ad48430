//! The shop's tables, rows and workload.
//!
//! Owns: the schema that `examples/shop` reads, filling it, and a live workload of inserts, updates, deletes and now
//! and then an ALTER TABLE. Never reads the lake.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use naru_base::Problem;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use super::Size;
use crate::failure::Failure;

/// Tables of the shop, the probe's own included.
pub const TABLES: usize = 6;
/// Pause between two transactions of the workload.
const PAUSE: Duration = Duration::from_millis(2);
/// Transactions between two changes of definition.
const ALTER_EVERY: u64 = 2_000;

const SCHEMA: &str = r"
CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, name text NOT NULL, country text, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE products (id bigint PRIMARY KEY, sku text NOT NULL, name text NOT NULL, category text, price numeric(12,2) NOT NULL, active boolean NOT NULL, attributes jsonb, updated_at timestamptz NOT NULL);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, status text NOT NULL, ordered_at timestamptz NOT NULL, total numeric(14,2) NOT NULL, note text, updated_at timestamptz NOT NULL);
CREATE TABLE order_items (id bigint PRIMARY KEY, order_id bigint NOT NULL, product_id bigint NOT NULL, quantity integer NOT NULL, unit_price numeric(12,2) NOT NULL);
CREATE TABLE payments (id bigint PRIMARY KEY, order_id bigint NOT NULL, method text NOT NULL, amount numeric(14,2) NOT NULL, paid_at timestamptz NOT NULL);
CREATE TABLE heartbeats (id bigint PRIMARY KEY, beat bigint NOT NULL);
INSERT INTO heartbeats VALUES (1, 0);
";

/// Connects to the shop.
pub async fn connect(url: &str) -> Result<Client, Failure> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(failed)?;
    tokio::spawn(connection);
    Ok(client)
}

fn failed(error: tokio_postgres::Error) -> Failure {
    Problem::from_error("demo.shop", "the shop's database refused a statement", &error).into()
}

/// Makes the tables and their rows.
pub async fn fill(url: &str, size: Size) -> Result<(), Failure> {
    let client = connect(url).await?;
    let orders = size.orders();
    let (customers, products) = (orders / 5 + 1, 1_000_u64);
    let statements = format!(
        r"{SCHEMA}
INSERT INTO products SELECT i, 'SKU-' || i, '상품 ' || i, (ARRAY['책','옷','음식','가전','문구'])[1 + i % 5], 1000 + (i * 7919 % 90000), true,
  jsonb_build_object('weight', i % 300, 'tags', jsonb_build_array('t' || i % 7, 't' || i % 11)), now() FROM generate_series(1, {products}) i;
INSERT INTO customers SELECT i, 'user' || i || '@shop.example', '고객 ' || i, (ARRAY['KR','KR','KR','JP','US'])[1 + i % 5],
  now() - (i % 700) * interval '1 day', now() FROM generate_series(1, {customers}) i;
INSERT INTO order_items SELECT i, 1 + (i - 1) / 3, 1 + (i * 31 % {products}), 1 + i % 4, 1000 + ((1 + (i * 31 % {products})) * 7919 % 90000)
  FROM generate_series(1, {items}) i;
INSERT INTO orders SELECT o.order_id, 1 + (o.order_id * 17 % {customers}), (ARRAY['new','paid','shipped','shipped','shipped','cancelled','refunded'])[1 + o.order_id % 7],
  now() - (o.order_id % 400) * interval '1 day' - (o.order_id % 86400) * interval '1 second', o.total, CASE WHEN o.order_id % 10 = 0 THEN '문 앞에 두세요' END, now()
  FROM (SELECT order_id, sum(quantity * unit_price) AS total FROM order_items GROUP BY order_id) o;
INSERT INTO payments SELECT id, id, (ARRAY['card','transfer','point'])[1 + id % 3], total, ordered_at + interval '1 minute' FROM orders WHERE status IN ('paid','shipped');
CREATE INDEX ON order_items (order_id);
CREATE INDEX ON payments (order_id);
ANALYZE;",
        items = orders * 3
    );
    client.batch_execute(&statements).await.map_err(failed)
}

/// A workload that runs until stopped.
pub struct Workload {
    stop: Arc<AtomicBool>,
    changes: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Workload {
    /// Starts it on a connection of its own.
    pub async fn start(url: &str) -> Result<Self, Failure> {
        let client = connect(url).await?;
        let row = client.query_one("SELECT coalesce(max(id), 0)::int8 FROM orders", &[]).await.map_err(failed)?;
        let orders: i64 = row.get(0);
        let (stop, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (stop.clone(), changes.clone());
        let task = tokio::spawn(async move {
            let mut shop = Shop { client, random: StdRng::seed_from_u64(7), orders, next: orders + 1, turns: 0 };
            while !stopped.load(Ordering::Relaxed) {
                match shop.turn().await {
                    Ok(rows) => {
                        counted.fetch_add(rows, Ordering::Relaxed);
                    }
                    Err(error) => tracing::warn!(%error, "the workload's statement was refused"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Ok(Self { stop, changes, task })
    }

    /// Stops it and says how many rows it changed.
    pub async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        if self.task.await.is_err() {
            tracing::warn!("the workload ended badly");
        }
        self.changes.load(Ordering::Relaxed)
    }
}

struct Shop {
    client: Client,
    random: StdRng,
    orders: i64,
    next: i64,
    turns: u64,
}

impl Shop {
    /// One transaction; the number of rows it changed.
    async fn turn(&mut self) -> Result<u64, tokio_postgres::Error> {
        self.turns += 1;
        if self.turns.is_multiple_of(ALTER_EVERY) {
            return self.alter().await;
        }
        match self.random.random_range(0..10) {
            0..4 => self.buy().await,
            4..8 => self.ship().await,
            8 => self.reprice().await,
            _ => self.cancel().await,
        }
    }

    /// A new order with its items and payment.
    async fn buy(&mut self) -> Result<u64, tokio_postgres::Error> {
        let order = self.next;
        self.next += 1;
        let quantity = self.random.random_range(1..5);
        let product = self.random.random_range(1..=1000_i64);
        let sql = format!(
            "BEGIN; INSERT INTO order_items SELECT {order}::int8 * 3 + g, {order}, {product}, {quantity}, price FROM products, generate_series(0, 1) g WHERE id = {product};
             INSERT INTO orders (id, customer_id, status, ordered_at, total, note, updated_at)
               SELECT {order}, 1 + {order} % 1000, 'paid', now(), sum(quantity * unit_price), NULL, now() FROM order_items WHERE order_id = {order};
             INSERT INTO payments SELECT {order}, {order}, 'card', total, now() FROM orders WHERE id = {order}; COMMIT"
        );
        self.client.batch_execute(&sql).await?;
        Ok(4)
    }

    /// Some orders move on.
    async fn ship(&mut self) -> Result<u64, tokio_postgres::Error> {
        let first = self.random.random_range(1..=self.orders.max(1));
        let sql = "UPDATE orders SET status = 'shipped', updated_at = now() WHERE id BETWEEN $1 AND $1 + 3 AND status <> 'cancelled'";
        self.client.execute(sql, &[&first]).await
    }

    /// A product changes its price and attributes.
    async fn reprice(&mut self) -> Result<u64, tokio_postgres::Error> {
        let product = self.random.random_range(1..=1000_i64);
        let sql = "UPDATE products SET price = price + 100, attributes = attributes || '{\"sale\": true}', updated_at = now() WHERE id = $1";
        self.client.execute(sql, &[&product]).await
    }

    /// An order is deleted with everything that belongs to it.
    async fn cancel(&mut self) -> Result<u64, tokio_postgres::Error> {
        let order = self.random.random_range(1..=self.next.max(2) - 1);
        let sql = format!(
            "BEGIN; DELETE FROM payments WHERE order_id = {order}; DELETE FROM orders WHERE id = {order}; COMMIT"
        );
        self.client.batch_execute(&sql).await?;
        Ok(2)
    }

    /// A backend engineer deploys.
    async fn alter(&mut self) -> Result<u64, tokio_postgres::Error> {
        let turn = self.turns / ALTER_EVERY;
        let sql = match turn % 3 {
            1 => format!("ALTER TABLE orders ADD COLUMN IF NOT EXISTS channel_{turn} text DEFAULT 'web'"),
            2 => format!("ALTER TABLE customers ADD COLUMN IF NOT EXISTS points_{turn} integer"),
            _ => format!("ALTER TABLE orders DROP COLUMN IF EXISTS channel_{}", turn.saturating_sub(2)),
        };
        self.client.batch_execute(&sql).await?;
        Ok(0)
    }
}
