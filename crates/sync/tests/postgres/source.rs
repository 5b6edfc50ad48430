//! A server with a client, the plans of its tables, and streams of its changes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::StreamExt;
use naru_base::Lsn;
use naru_lake::ChangeBatch;
use naru_sync::postgres::{
    ChangeBuilder, ColumnPlan, ColumnSource, ConnectSettings, CopyDecoder, DecodeCounts, Decoded, Decoder, Event,
    Message, Relation, ReplicationConnection, ReplicationReader, ReplicationWriter, SqlClient, StreamOptions,
    TablePlan, TargetColumn, TypeKind, TypeSource, connect_sql, copy_select_list,
};
use naru_testkit::{Options, PostgresServer};
use tokio_postgres::Client;

/// The prefix of the messages by which a test says "up to here".
const MARK: &str = "naru.test";

pub struct Source {
    pub server: PostgresServer,
    pub client: SqlClient,
    pub settings: ConnectSettings,
}

impl Source {
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub async fn start_with(options: Options) -> Self {
        let server = PostgresServer::start(options).await;
        let settings = ConnectSettings::parse(&server.url()).unwrap();
        let client = connect_sql(&settings).await.unwrap();
        Self { server, client, settings }
    }

    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The plan of a table whose first column is the key.
    pub async fn plan(&self, table: &str) -> Arc<TablePlan> {
        let types = Types::load(&self.client).await;
        let sql = "select attname::text, attnum, atttypid, atttypmod, attndims, attnotnull from pg_attribute \
                   where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum";
        let rows = self.client.query(sql, &[&table]).await.unwrap();
        let columns = rows.iter().map(|row| {
            let plan = ColumnPlan::new(ColumnSource {
                name: row.get(0),
                attnum: row.get(1),
                type_source: types.get(row.get(2), row.get(3)),
                // `int2` up to 15, `int4` before: both fit.
                dimensions: row.try_get::<_, i16>(4).unwrap_or_else(|_| i16::try_from(row.get::<_, i32>(4)).unwrap()),
                not_null: row.get(5),
                generated: false,
                comment: None,
            });
            TargetColumn { column: plan.column.clone(), plan: Some(plan) }
        });
        Arc::new(TablePlan::new(columns.collect(), vec![0]))
    }

    /// Begins a stream of a publication, through a temporary slot.
    pub async fn stream(&self, publication: &str, binary: bool, streaming: bool) -> Stream {
        let mut connection = ReplicationConnection::connect(&self.settings).await.unwrap();
        let slot = format!("s_{binary}_{streaming}");
        let made = connection.create_slot(&slot, true).await.unwrap();
        let options = StreamOptions {
            slot,
            start: made.consistent_point,
            publications: vec![publication.to_owned()],
            streaming,
            binary,
            messages: true,
        };
        let (reader, writer) = connection.start_replication(&options).await.unwrap();
        Stream::new(reader, writer)
    }

    /// Copies a table in chunks of the size the server sends.
    pub async fn copy(&self, table: &str, plan: &Arc<TablePlan>) -> (RecordBatch, Vec<DecodeCounts>) {
        let columns = copy_select_list(plan.plans());
        let sql = format!("copy (select {columns} from {table} order by 1) to stdout (format binary)");
        let mut chunks = std::pin::pin!(self.client.copy_out(&sql).await.unwrap());
        let mut decoder = CopyDecoder::new(Arc::clone(plan));
        while let Some(chunk) = chunks.next().await {
            decoder.feed(&chunk.unwrap()).unwrap();
        }
        decoder.end().unwrap();
        (decoder.take_batch(1).unwrap().unwrap(), decoder.take_counts())
    }
}

/// A stream of changes.
pub struct Stream {
    pub reader: ReplicationReader,
    pub writer: ReplicationWriter,
    seen: Decoder,
    marks: u32,
}

impl Stream {
    pub fn new(reader: ReplicationReader, writer: ReplicationWriter) -> Self {
        Self { reader, writer, seen: Decoder::new(), marks: 0 }
    }

    /// Everything that was committed before now, as the messages came.
    pub async fn take(&mut self, client: &Client) -> Vec<Bytes> {
        self.marks += 1;
        let mark = format!("{}", self.marks);
        client.query_one("select pg_logical_emit_message(true, $1, $2)::text", &[&MARK, &mark]).await.unwrap();
        let mut messages = Vec::new();
        loop {
            match self.reader.next().await.unwrap() {
                Event::KeepAlive { wal_end, .. } => {
                    self.writer.send_status(wal_end, Lsn(0), Lsn(0), false).await.unwrap();
                }
                Event::XLogData { data, .. } => {
                    let decoded = self.seen.decode(&data).unwrap();
                    let marked = matches!(&decoded.message, Message::Logical { prefix, content, .. }
                        if *prefix == MARK && *content == mark.as_bytes());
                    if marked {
                        // The mark's own commit, so that the next take begins outside a transaction.
                        while !self.at_commit().await {}
                        // So is the begin before the mark.
                        messages.pop_if(|message: &mut Bytes| message.first() == Some(&b'B'));
                        return messages;
                    }
                    messages.push(data);
                }
            }
        }
    }

    async fn at_commit(&mut self) -> bool {
        match self.reader.next().await.unwrap() {
            Event::XLogData { data, .. } => {
                matches!(self.seen.decode(&data).unwrap().message, Message::Commit { .. })
            }
            Event::KeepAlive { .. } => false,
        }
    }
}

/// Decodes messages one after the other.
pub fn each(messages: &[Bytes], mut visit: impl FnMut(&Decoded<'_>)) {
    let mut decoder = Decoder::new();
    for message in messages {
        visit(&decoder.decode(message).unwrap());
    }
}

/// Applies the changes of tables outside stream blocks; gives the batches by table name, with counters.
pub fn gather(
    messages: &[Bytes],
    plans: &BTreeMap<String, Arc<TablePlan>>,
) -> BTreeMap<String, (ChangeBatch, Vec<DecodeCounts>)> {
    let mut relations: HashMap<u32, Relation> = HashMap::new();
    let mut builders: BTreeMap<String, ChangeBuilder> = BTreeMap::new();
    // Tables without a plan are not this test's.
    let mut planned = HashSet::new();
    each(messages, |decoded| match &decoded.message {
        Message::Insert { relation, .. } | Message::Update { relation, .. } | Message::Delete { relation, .. }
            if !planned.contains(relation) => {}
        Message::Insert { relation, new } => {
            builder(&relations, &mut builders, plans, *relation).insert(*new).unwrap();
        }
        Message::Update { relation, old, new } => {
            builder(&relations, &mut builders, plans, *relation).update(*old, *new).unwrap();
        }
        Message::Delete { relation, old } => {
            builder(&relations, &mut builders, plans, *relation).delete(*old).unwrap();
        }
        Message::Truncate { relations: emptied, .. } => {
            for oid in emptied {
                builder(&relations, &mut builders, plans, *oid).truncate();
            }
        }
        Message::Relation(relation) => {
            if let Some(builder) = builders.get_mut(&relation.name) {
                builder.set_relation(relation).unwrap();
            }
            if plans.contains_key(&relation.name) {
                planned.insert(relation.oid);
            }
            relations.insert(relation.oid, relation.clone());
        }
        _ => {}
    });
    builders
        .into_iter()
        .map(|(name, mut builder)| {
            let batch = builder.finish().unwrap();
            (name, (batch, builder.take_counts()))
        })
        .collect()
}

fn builder<'b>(
    relations: &HashMap<u32, Relation>,
    builders: &'b mut BTreeMap<String, ChangeBuilder>,
    plans: &BTreeMap<String, Arc<TablePlan>>,
    oid: u32,
) -> &'b mut ChangeBuilder {
    let relation = &relations[&oid];
    let fresh = || ChangeBuilder::new(Arc::clone(&plans[&relation.name]), relation).unwrap();
    builders.entry(relation.name.clone()).or_insert_with(fresh)
}

/// The catalog's types, as the engine reads them too.
struct Types(HashMap<u32, TypeRow>);

struct TypeRow {
    name: String,
    kind: String,
    element: u32,
    base: u32,
    base_typmod: i32,
    bounds: Option<u32>,
}

impl Types {
    async fn load(client: &Client) -> Self {
        let sql = "select t.oid, t.typname::text, t.typtype::text, \
                   case when t.typsubscript = 'array_subscript_handler'::regproc then t.typelem else 0 end, \
                   t.typbasetype, t.typtypmod, r.rngsubtype from pg_type t \
                   left join pg_range r on t.oid in (r.rngtypid, r.rngmultitypid)";
        let rows = client.query(sql, &[]).await.unwrap();
        Self(
            rows.iter()
                .map(|row| {
                    let made = TypeRow {
                        name: row.get(1),
                        kind: row.get(2),
                        element: row.get(3),
                        base: row.get(4),
                        base_typmod: row.get(5),
                        bounds: row.get(6),
                    };
                    (row.get(0), made)
                })
                .collect(),
        )
    }

    fn get(&self, oid: u32, typmod: i32) -> TypeSource {
        let row = &self.0[&oid];
        let bounds = || row.bounds.map(|bounds| Box::new(self.get(bounds, -1)));
        let kind = match row.kind.as_str() {
            "b" if row.element != 0 => TypeKind::Array(Box::new(self.get(row.element, typmod))),
            "b" => TypeKind::Base,
            "e" => TypeKind::Enum,
            "d" => TypeKind::Domain(Box::new(self.get(row.base, row.base_typmod))),
            "r" => TypeKind::Range(bounds()),
            "m" => TypeKind::Multirange(bounds()),
            "c" => TypeKind::Composite,
            _ => TypeKind::Pseudo,
        };
        TypeSource { oid, name: row.name.clone(), typmod, kind }
    }
}
