//! A naru with tables in memory, three people, and a browser for each.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, StringArray},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use naru_access::{Account, People, Policy, Rights, Scope, Terms, Tokens, Vouched, audit::Audit};
use naru_base::TableId;
use naru_project::{AccessFile, Environment, Zone};
use naru_server::{
    Door, Doorway, Listen,
    api::{
        self, Api, Ports,
        access::AccessPort,
        home::HomePort,
        marts::MartsPort,
        queries::Queries,
        shares::{self, Google, GoogleSettings, Shares},
        sync::SyncPort,
        topics::TopicsPort,
        work::Works,
    },
    http::{self, Metrics},
    signin::{Options, SignIn},
};
use naru_store::Store;
use naru_testkit::sheets::SheetsServer;
use naru_warehouse::{Cut, TableSource, View, Warehouse, WarehouseError, WarehouseSettings, jobs::JobSettings};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// `kim` and `lee` see shop, only `choi` sees hr.
const ACCESS: &str = r#"
[groups]
analysts = ["kim@acme.kr", "lee@acme.kr"]
[[grants]]
to = ["group:analysts", "person:choi@acme.kr"]
can = "view"
on = ["shop"]
[[grants]]
to = ["person:choi@acme.kr"]
can = "view"
on = ["hr"]
"#;

struct Memory(HashMap<TableId, View>);

#[async_trait]
impl TableSource for Memory {
    fn cut(&self) -> Cut {
        self.0.iter().map(|(id, view)| (id.clone(), Ok(view.clone()))).collect()
    }

    async fn list(&self) -> Result<Vec<TableId>, WarehouseError> {
        Ok(self.0.keys().cloned().collect())
    }

    async fn open(&self, _: &TableId) -> Result<Option<View>, WarehouseError> {
        Ok(None)
    }
}

/// Five rows, one of which begins like a formula.
fn orders() -> RecordBatch {
    let json = Field::new("doc", DataType::Utf8, true);
    let json = json.with_metadata(HashMap::from([("naru.type".to_owned(), "json".to_owned())]));
    let fields = vec![
        Field::new("id", DataType::Int64, true),
        Field::new("이름", DataType::Utf8, true),
        Field::new("total", DataType::Decimal128(38, 9), true),
        Field::new("day", DataType::Date32, true),
        json,
    ];
    let total = Decimal128Array::from(vec![Some(1_500_000_000), Some(-5), None, Some(7), Some(1)]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2, 3, 4, 9_007_199_254_740_993])),
        Arc::new(StringArray::from(vec![Some("김치"), Some("=1+1"), None, Some("-2"), Some("라면")])),
        Arc::new(total.with_precision_and_scale(38, 9).unwrap()),
        Arc::new(Date32Array::from(vec![Some(20_780), None, Some(0), Some(1), Some(2)])),
        Arc::new(StringArray::from(vec![Some("{\"n\": 9007199254740993}"), None, None, None, Some("[1]")])),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn warehouse(folder: &std::path::Path, policy: Policy) -> Warehouse {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..200_000));
    let numbers = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let pay = RecordBatch::try_from_iter([("won", Arc::new(Int64Array::from(vec![100])) as ArrayRef)]).unwrap();
    let tables = [("shop.orders", orders()), ("shop.numbers", numbers), ("hr.pay", pay)];
    let tables = tables.into_iter().map(|(name, rows)| (name.parse().unwrap(), View::of_batches(vec![rows]).unwrap()));
    let settings = WarehouseSettings {
        memory_bytes: 128 << 20,
        target_partitions: 2,
        policy,
        ..WarehouseSettings::new("acme", folder.join("spill"))
    };
    Warehouse::over(settings, Arc::new(Memory(tables.collect()))).unwrap()
}

struct NoPorts;

impl Ports for NoPorts {
    fn access(&self) -> &dyn AccessPort {
        unreachable!("not asked for here")
    }

    fn home(&self) -> &dyn HomePort {
        unreachable!("not asked for here")
    }

    fn marts(&self) -> &dyn MartsPort {
        unreachable!("not asked for here")
    }

    fn sync(&self) -> &dyn SyncPort {
        unreachable!("not asked for here")
    }

    fn topics(&self) -> Option<&dyn TopicsPort> {
        None
    }

    fn works(&self) -> &Works {
        unreachable!("not asked for here")
    }
}

pub struct World {
    pub base: String,
    pub warehouse: Warehouse,
    pub policy: Policy,
    pub people: People,
    pub google: SheetsServer,
    tokens: Tokens,
    _door: Door,
    folder: TempDir,
}

pub fn rights(text: &str) -> Rights {
    let file = AccessFile::parse(text, &Environment::of::<String, String>([])).unwrap();
    Rights::new(Terms { file: Some(file), sign_in: true, admins: Vec::new() })
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}, false).await
    }

    pub async fn with(change: impl FnOnce(&mut JobSettings), ask_why: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("naru.db")).unwrap();
        let policy = Policy::new(rights(ACCESS));
        let audit = Audit::open(store.clone(), false);
        let warehouse = warehouse(folder.path(), policy.clone());
        let options = Options {
            project: "acme".to_owned(),
            project_id: "abcdefgh".to_owned(),
            sign_in: None,
            proxies: Vec::new(),
            secure: false,
        };
        let signin = SignIn::new(&store, audit.clone(), options).unwrap();
        let mut settings = JobSettings::new(folder.path().join("results"));
        change(&mut settings);
        let queries = Queries::open(warehouse.clone(), store.clone(), settings, ask_why).unwrap();
        let google = SheetsServer::start("매출", 20, 5).await;
        google.write_key(&folder.path().join("key.json"));
        let account = GoogleSettings {
            endpoint: google.endpoint.clone(),
            first_wait: Duration::from_millis(1),
            ..GoogleSettings::new(folder.path().join("key.json"))
        };
        let zone = Zone::find("Asia/Seoul").unwrap();
        let account = Some(Google::open(&account).unwrap());
        let shares = Shares::new(queries.clone(), policy.clone(), audit.clone(), zone, account);
        let api = Api {
            signin,
            warehouse: warehouse.clone(),
            policy: policy.clone(),
            audit,
            queries,
            shares: shares.clone(),
            ports: Arc::new(NoPorts),
        };
        let more = api::router(api).merge(shares::door(shares));
        let listen = Listen::At(SocketAddr::from(([127, 0, 0, 1], 0)));
        let ready = Arc::new(Vec::<String>::new);
        let door = http::serve(Doorway::from(listen), ready, Metrics::default(), None, Some(more));
        let door = door.await.unwrap().unwrap();
        let base = format!("http://{}", door.address);
        let (people, tokens) = (People::new(store.clone()), Tokens::new(store.clone()));
        Self { base, warehouse, policy, people, google, tokens, _door: door, folder }
    }

    pub async fn account(&self, name: &str) -> Arc<Account> {
        let vouched = Vouched {
            issuer: "https://issuer".to_owned(),
            subject: name.to_owned(),
            email: format!("{name}@acme.kr"),
            shown: name.to_owned(),
            domain: Some("acme.kr".to_owned()),
        };
        self.people.vouched(vouched).await.unwrap()
    }

    pub async fn person(&self, name: &str) -> Person {
        let account = self.account(name).await;
        let token = self.tokens.issue_personal(&account, "test", 1, vec![Scope::Api]).await.unwrap();
        let secret = token.secret.expose().to_owned();
        Person { base: self.base.clone(), token: Some(secret), client: Client::new() }
    }

    pub fn stranger(&self) -> Person {
        Person { base: self.base.clone(), token: None, client: Client::new() }
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

pub struct Person {
    base: String,
    token: Option<String>,
    client: Client,
}

impl Person {
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send().await.unwrap()
    }

    pub async fn json(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let response = self.send(method, path, body).await;
        let status = response.status();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.json(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.json(Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Runs SQL and waits for its end by its events.
    pub async fn run(&self, sql: &str) -> Value {
        let query = self.post("/api/v1/queries", json!({"sql": sql})).await;
        self.last(query["id"].as_str().unwrap()).await
    }

    /// The last state of a query.
    pub async fn last(&self, id: &str) -> Value {
        let events = self.send(Method::GET, &format!("/api/v1/queries/{id}/events"), None).await;
        let text = events.text().await.unwrap();
        let states: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        serde_json::from_str(states.last().unwrap()).unwrap()
    }
}
