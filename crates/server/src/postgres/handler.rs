//! Queries of the Postgres wire, simple and extended.
//!
//! Owns: what each command answers, transaction status, preparing and describing statements, cancelling.
//! There are no transactions: BEGIN and COMMIT are answered so that clients which send them work, and every
//! statement sees the tables as they are when it starts.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use futures::{Sink, Stream, StreamExt, stream};
use naru_warehouse::{ResultSet, SqlType, WarehouseError, postgres_catalog};
use pgwire::{
    api::{
        ClientInfo, ClientPortalStore, PgWireServerHandlers, Type,
        auth::StartupHandler,
        cancel::CancelHandler,
        portal::{Format, Portal},
        query::{ExtendedQueryHandler, SimpleQueryHandler},
        results::{FieldInfo, QueryResponse, Response, Tag},
        stmt::{QueryParser, StoredStatement},
        store::PortalStore,
    },
    error::{PgWireError, PgWireResult},
    messages::{PgWireBackendMessage, data::DataRow, extendedquery::Bind, response::TransactionStatus},
};
use tokio_util::sync::CancellationToken;

use super::{
    command::{self, Command},
    copy,
    cursor::Cursor,
    encode, params, placeholders, problem, settings,
    startup::{Connection, Connections, Desk, SERVER_VERSION, Startup},
    types::describe,
};

/// Everything pgwire asks for.
pub struct Handlers {
    startup: Arc<Startup>,
    queries: Arc<Queries>,
    connections: Arc<Connections>,
}

impl Handlers {
    /// Handlers of one connection; `left` ends it.
    pub fn new(desk: Arc<Desk>, left: CancellationToken) -> Self {
        Self {
            connections: desk.connections.clone(),
            startup: Arc::new(Startup::new(desk, left)),
            queries: Arc::new(Queries { parser: Arc::new(Parser) }),
        }
    }
}

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        self.queries.clone()
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        self.queries.clone()
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        self.startup.clone()
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        self.connections.clone()
    }
}

/// A prepared statement.
#[derive(Debug, Clone)]
pub struct Prepared {
    sql: String,
    command: Command,
    parameters: Vec<Type>,
    /// Columns, for a statement that answers with rows.
    columns: Option<arrow::datatypes::SchemaRef>,
}

struct Parser;

/// Runs queries of all connections.
struct Queries {
    parser: Arc<Parser>,
}

fn connection(client: &impl ClientInfo) -> PgWireResult<Arc<Connection>> {
    let found = client.session_extensions().get::<Arc<Connection>>();
    found
        .map(|found| found.as_ref().clone())
        .ok_or_else(|| problem::of_state("28000", "the connection is not signed in"))
}

/// After an error within BEGIN … only its end is taken, as clients expect.
fn refuse_in_failed_transaction(client: &impl ClientInfo, command: &Command) -> PgWireResult<()> {
    let failed = client.transaction_status() == TransactionStatus::Error;
    if failed && !matches!(command, Command::Commit | Command::Rollback | Command::Nothing("ROLLBACK")) {
        let text = "current transaction is aborted, commands ignored until end of transaction block";
        return Err(problem::of_state("25P02", text));
    }
    Ok(())
}

/// Runs one statement. `whole` is the client's text and `start` where the statement begins in it.
async fn run(
    connection: &Arc<Connection>,
    command: &Command,
    statement: &str,
    (whole, start): (&str, usize),
    format: Option<&Format>,
) -> PgWireResult<Response> {
    let told = |error: WarehouseError| problem::of_warehouse(&error, whole, start);
    match command {
        Command::Begin => Ok(Response::TransactionStart(Tag::new("BEGIN"))),
        Command::Commit | Command::Rollback => {
            connection.cursors.lock().retain(|_, cursor| cursor.hold);
            Ok(Response::TransactionEnd(Tag::new(if *command == Command::Commit { "COMMIT" } else { "ROLLBACK" })))
        }
        Command::Declare { name, hold, query_at } => {
            let query = statement.get(*query_at..).unwrap_or_default();
            // Places in the query count from where it begins.
            let opened = declare(connection, query, *hold).await?;
            let opened = opened.map_err(|error| problem::of_warehouse(&error, whole, start + query_at))?;
            connection.cursors.lock().insert(name.clone(), opened);
            Ok(Response::Execution(Tag::new("DECLARE CURSOR")))
        }
        Command::Fetch { name, count, moved } => fetch(connection, name, *count, *moved, format).await,
        Command::Close(name) => close(connection, name.as_deref()),
        Command::Copy(_) => Err(problem::of_state("0A000", "COPY must be the only statement of its message")),
        Command::Nothing(tag) => Ok(Response::Execution(Tag::new(tag))),
        Command::Set { name, value } => settings::set(connection, name, value.as_deref()),
        Command::Show(name) => Ok(Response::Query(settings::show(connection, name, format)?)),
        Command::Catalog => {
            let cancel = connection.begin_query();
            let asked = facts(connection);
            let batches = tokio::select! {
                () = cancel.cancelled() => return Err(PgWireError::QueryCanceled),
                batches = Box::pin(postgres_catalog::run(&connection.session, &asked, statement)) => batches.map_err(told)?,
            };
            let fields = Arc::new(describe(&batches.0, format));
            let rows = stream::iter(batches.1).flat_map({
                let fields = fields.clone();
                move |batch| encoded(&batch, &fields)
            });
            Ok(Response::Query(QueryResponse::new(fields, rows)))
        }
        Command::Query => {
            let cancel = connection.begin_query();
            let started = async {
                let mut parsed = connection.session.statements(&command::with_backticks(statement))?;
                let parsed = parsed.pop().ok_or(WarehouseError::Empty)?;
                connection.session.run_statement(&parsed, &naru_warehouse::Params::default()).await
            };
            let result = tokio::select! {
                () = cancel.cancelled() => return Err(PgWireError::QueryCanceled),
                result = started => result.map_err(told)?,
            };
            Ok(match result {
                Some(result) => Response::Query(rows(result, format, cancel)),
                None => Response::Execution(Tag::new("SET")),
            })
        }
    }
}

/// Runs a statement that may need the connection itself.
async fn run_alone<C>(
    client: &mut C,
    connection: &Arc<Connection>,
    command: &Command,
    statement: &str,
    (whole, start): (&str, usize),
    format: Option<&Format>,
) -> PgWireResult<Response>
where
    C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
    C::Error: Debug,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let Command::Copy(copy) = command else {
        return run(connection, command, statement, (whole, start), format).await;
    };
    let rows = declare(connection, &copy.query, false).await?;
    let rows = rows.map_err(|error| match copy.query_at {
        Some(at) => problem::of_warehouse(&error, whole, start + at),
        None => problem::of_problem(&error.problem()),
    })?;
    copy::send(client, connection, copy, rows).await
}

/// Starts the query of a cursor.
async fn declare(
    connection: &Arc<Connection>,
    query: &str,
    hold: bool,
) -> PgWireResult<Result<Cursor, WarehouseError>> {
    let cancel = connection.begin_query();
    let started = async {
        if command::sort(query) == Command::Catalog {
            let (columns, batches) = postgres_catalog::run(&connection.session, &facts(connection), query).await?;
            return Ok(Cursor::of_batches(columns, batches, hold));
        }
        let parsed =
            connection.session.statements(&command::with_backticks(query))?.pop().ok_or(WarehouseError::Empty)?;
        let result = connection.session.run_statement(&parsed, &naru_warehouse::Params::default()).await?;
        result.map(|result| Cursor::of_result(result, hold)).ok_or(WarehouseError::Empty)
    };
    tokio::select! {
        () = cancel.cancelled() => Err(PgWireError::QueryCanceled),
        opened = Box::pin(started) => Ok(opened),
    }
}

fn cursor(connection: &Connection, name: &str) -> PgWireResult<Cursor> {
    let found = connection.cursors.lock().get(name).cloned();
    found.ok_or_else(|| problem::of_state("34000", format!("cursor \"{name}\" does not exist")))
}

fn close(connection: &Connection, name: Option<&str>) -> PgWireResult<Response> {
    if let Some(name) = name {
        cursor(connection, name)?;
    }
    connection.cursors.lock().retain(|open, _| name.is_some_and(|name| name != open));
    Ok(Response::Execution(Tag::new("CLOSE CURSOR")))
}

/// Takes rows from a cursor.
async fn fetch(
    connection: &Arc<Connection>,
    name: &str,
    count: Option<usize>,
    moved: bool,
    format: Option<&Format>,
) -> PgWireResult<Response> {
    let cursor = cursor(connection, name)?;
    let cancel = connection.begin_query();
    let batches = tokio::select! {
        () = cancel.cancelled() => return Err(PgWireError::QueryCanceled),
        batches = cursor.take(count.unwrap_or(usize::MAX)) => {
            batches.map_err(|error| problem::of_warehouse(&error, "", 0))?
        }
    };
    if moved {
        let rows = batches.iter().map(arrow::record_batch::RecordBatch::num_rows).sum();
        return Ok(Response::Execution(Tag::new("MOVE").with_rows(rows)));
    }
    let fields = Arc::new(describe(&cursor.schema, format));
    let own = fields.clone();
    let rows = stream::iter(batches).flat_map(move |batch| encoded(&batch, &own));
    let mut response = QueryResponse::new(fields, rows);
    response.set_command_tag("FETCH");
    Ok(Response::Query(response))
}

fn facts(connection: &Connection) -> postgres_catalog::Facts {
    postgres_catalog::Facts { user: connection.session.principal().to_string(), version: SERVER_VERSION.to_owned() }
}

type Rows = std::pin::Pin<Box<dyn Stream<Item = PgWireResult<DataRow>> + Send>>;

/// The rows of one batch as messages.
fn encoded(batch: &arrow::record_batch::RecordBatch, fields: &Arc<Vec<FieldInfo>>) -> Rows {
    let count = batch.num_rows();
    match encode::columns(batch) {
        Ok(columns) => {
            let fields = fields.clone();
            Box::pin(stream::iter((0..count).map(move |row| Ok(encode::row(&columns, &fields, row)))))
        }
        Err(error) => Box::pin(stream::once(async move { Err(problem::of_state("XX000", error.0)) })),
    }
}

/// Streams a result; a cancel request ends it between two batches.
fn rows(result: ResultSet, format: Option<&Format>, cancel: CancellationToken) -> QueryResponse {
    let fields = Arc::new(describe(&result.schema, format));
    let own = fields.clone();
    let batches = stream::unfold(Some((result, cancel)), |state| async move {
        let (mut result, cancel) = state?;
        let next = tokio::select! {
            () = cancel.cancelled() => Some(Err(PgWireError::QueryCanceled)),
            next = result.next() => next.map(|batch| batch.map_err(|error| problem::of_warehouse(&error, "", 0))),
        };
        match next? {
            Ok(batch) => Some((Ok(batch), Some((result, cancel)))),
            Err(error) => Some((Err(error), None)),
        }
    });
    let rows = batches.flat_map(move |batch| match batch {
        Ok(batch) => encoded(&batch, &own),
        Err(error) => Box::pin(stream::once(async move { Err(error) })),
    });
    QueryResponse::new(fields, rows)
}

#[async_trait]
impl SimpleQueryHandler for Queries {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let connection = connection(client)?;
        connection.check().await?;
        let mut responses = Vec::new();
        let statements = command::split(query);
        let alone = statements.len() == 1;
        for (start, statement) in statements {
            let command = command::sort(statement);
            refuse_in_failed_transaction(client, &command)?;
            let place = (query, start);
            responses.push(if alone {
                run_alone(client, &connection, &command, statement, place, None).await?
            } else {
                run(&connection, &command, statement, place, None).await?
            });
        }
        if responses.is_empty() {
            responses.push(Response::EmptyQuery);
        }
        Ok(responses)
    }
}

#[async_trait]
impl QueryParser for Parser {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, client: &C, sql: &str, types: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let pieces = command::split(sql);
        let [(start, statement)] = pieces.as_slice() else {
            if pieces.is_empty() {
                return Ok(None);
            }
            return Err(problem::of_state("42601", "cannot insert multiple commands into a prepared statement"));
        };
        let command = command::sort(statement);
        let connection = connection(client)?;
        connection.check().await?;
        let given: Vec<Option<Type>> = types.to_vec();
        let (parameters, columns) = describe_statement(&connection, &command, statement, &given)
            .await
            .map_err(|error| problem::of_warehouse(&error, sql, *start))?;
        Ok(Some(Prepared { sql: sql.to_owned(), command, parameters, columns }))
    }

    fn get_parameter_types(&self, statement: &Prepared) -> PgWireResult<Vec<Type>> {
        Ok(statement.parameters.clone())
    }

    fn get_result_schema(&self, statement: &Prepared, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        Ok(statement.columns.as_ref().map(|columns| describe(columns, format)).unwrap_or_default())
    }
}

/// Parameter types and columns of a statement that has no values yet.
async fn describe_statement(
    connection: &Connection,
    command: &Command,
    statement: &str,
    given: &[Option<Type>],
) -> Result<(Vec<Type>, Option<arrow::datatypes::SchemaRef>), WarehouseError> {
    let count = placeholders::count(statement);
    let declared = |number: usize| {
        let of = given.get(number.saturating_sub(1)).cloned().flatten();
        of.filter(|of| *of != Type::UNKNOWN && of.oid() != 0)
    };
    match command {
        Command::Query => {
            let statement = &*command::with_backticks(statement);
            let given: Vec<Option<Type>> = (1..=count).map(declared).collect();
            let (parameters, columns) = describe_query(connection, statement, &given).await?;
            Ok((parameters, (!columns.fields().is_empty()).then_some(columns)))
        }
        Command::Catalog => {
            let named = |number| declared(number).or_else(|| placeholders::cast_type(statement, number));
            let parameters: Vec<Type> = (1..=count).map(|number| named(number).unwrap_or(Type::TEXT)).collect();
            let sql = placeholders::substitute(statement, |_| None, |_| Some("NULL".to_owned()));
            let columns = postgres_catalog::describe(&connection.session, &facts(connection), &sql).await?;
            Ok((parameters, Some(columns)))
        }
        Command::Show(name) => Ok((Vec::new(), Some(settings::show_columns(name)))),
        Command::Declare { query_at, .. } => {
            let query = statement.get(*query_at..).unwrap_or_default();
            let inner = command::sort(query);
            Box::pin(describe_statement(connection, &inner, query, given)).await.map(|(types, _)| (types, None))
        }
        Command::Fetch { name, moved: false, .. } => {
            Ok((Vec::new(), connection.cursors.lock().get(name).map(|cursor| cursor.schema.clone())))
        }
        _ => Ok((Vec::new(), None)),
    }
}

/// Types of a query's parameters, and its columns. What the client did not declare is what its place asks for.
async fn describe_query(
    connection: &Connection,
    statement: &str,
    given: &[Option<Type>],
) -> Result<(Vec<Type>, arrow::datatypes::SchemaRef), WarehouseError> {
    let said: Vec<Option<Type>> = (1..)
        .zip(given)
        .map(|(number, declared)| {
            let counts = placeholders::counts_rows(statement, number).then_some(Type::INT8);
            declared.clone().or(counts).or_else(|| placeholders::cast_type(statement, number))
        })
        .collect();
    let type_of = |number: usize| said.get(number.saturating_sub(1)).cloned().flatten();
    // GoogleSQL wants a number behind LIMIT, not NULL.
    let sql = placeholders::substitute(
        statement,
        |number| type_of(number).or(Some(Type::TEXT)),
        |number| Some(if placeholders::counts_rows(statement, number) { "1".to_owned() } else { format!("${number}") }),
    );
    let known: Vec<Option<SqlType>> = said.iter().map(|of| of.as_ref().and_then(params::google_type)).collect();
    let (types, columns) = connection.session.describe_statement(&sql, &known).await?;
    let numbered = said
        .into_iter()
        .enumerate()
        .map(|(at, said)| said.or_else(|| types.get(at).map(params::wire_type)).unwrap_or(Type::TEXT));
    Ok((numbered.collect(), columns))
}

#[async_trait]
impl ExtendedQueryHandler for Queries {
    type Statement = Prepared;
    type QueryParser = Parser;

    fn query_parser(&self) -> Arc<Parser> {
        self.parser.clone()
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Prepared>, _: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let connection = connection(client)?;
        connection.check().await?;
        let prepared = &portal.statement.statement;
        refuse_in_failed_transaction(client, &prepared.command)?;
        let of_catalog = asks_catalog(prepared);
        let mut literals = Vec::with_capacity(prepared.parameters.len());
        for (position, of) in prepared.parameters.iter().enumerate() {
            let bytes = portal.parameters.get(position).and_then(Option::as_ref).map(AsRef::as_ref);
            // The client may have named a more exact type than the statement was described with.
            let literal = if of_catalog {
                params::postgres_literal(position + 1, of, is_binary(portal, position), bytes)
            } else {
                params::literal(position + 1, of, is_binary(portal, position), bytes)
            };
            literals.push(literal.map_err(|bad| {
                problem::of_state("22P02", format!("parameter ${} is not a valid {}", bad.number, bad.of))
            })?);
        }
        let sql = placeholders::substitute(
            &prepared.sql,
            |number| prepared.parameters.get(number.checked_sub(1)?).filter(|_| !of_catalog).cloned(),
            |number| literals.get(number.checked_sub(1)?).cloned(),
        );
        let statement = sql.trim_end().trim_end_matches(';');
        let format = Some(&portal.result_column_format);
        let done = run_alone(client, &connection, &prepared.command, statement, (&sql, 0), format).await?;
        if let Command::Declare { name, .. } = &prepared.command {
            client.portal_store().put_portal(Arc::new(cursor_portal(&connection, name)?));
        }
        Ok(done)
    }
}

/// Whether a statement's text is PostgreSQL's own.
fn asks_catalog(prepared: &Prepared) -> bool {
    match &prepared.command {
        Command::Catalog => true,
        Command::Declare { query_at, .. } => {
            command::sort(prepared.sql.get(*query_at..).unwrap_or_default()) == Command::Catalog
        }
        _ => false,
    }
}

/// A cursor as a portal: psycopg asks for its columns under its name.
fn cursor_portal(connection: &Connection, name: &str) -> PgWireResult<Portal<Prepared>> {
    let fetch = Prepared {
        sql: format!("FETCH ALL FROM \"{name}\""),
        command: Command::Fetch { name: name.to_owned(), count: None, moved: false },
        parameters: Vec::new(),
        columns: Some(cursor(connection, name)?.schema),
    };
    let bind = Bind::new(Some(name.to_owned()), None, Vec::new(), Vec::new(), Vec::new());
    Portal::try_new(&bind, Arc::new(StoredStatement::new(name.to_owned(), fetch, Vec::new())))
}

fn is_binary(portal: &Portal<Prepared>, position: usize) -> bool {
    match &portal.parameter_format {
        Format::UnifiedText => false,
        Format::UnifiedBinary => true,
        Format::Individual(codes) => codes.get(position) == Some(&1),
    }
}
