//! Links for spreadsheets, and blocks in Google Sheets.

use naru_testkit::sheets::SPREADSHEET;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Person, World, rights};

async fn saved(person: &Person, sql: &str) -> String {
    let saved = person.post("/api/v1/saved", json!({"name": "매출 표", "sql": sql})).await;
    saved["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_link_gives_rows_to_whoever_has_it_until_it_is_taken_back() {
    let world = World::new().await;
    let (kim, stranger) = (world.person("kim").await, world.stranger());
    let id = saved(&kim, "SELECT id, `이름` FROM shop.orders ORDER BY id").await;
    let made = kim.post(&format!("/api/v1/saved/{id}/links"), json!({"name": "for 이 sheet"})).await;
    let (csv, xlsx) = (made["csv"].as_str().unwrap().to_owned(), made["xlsx"].as_str().unwrap().to_owned());
    let given = stranger.send(Method::GET, &csv, None).await;
    assert_eq!((given.status(), given.headers()["x-naru-complete"].to_str().unwrap()), (StatusCode::OK, "true"));
    let as_of = given.headers()["x-naru-as-of"].to_str().unwrap().to_owned();
    assert_eq!(given.text().await.unwrap().lines().nth(2), Some("2,'=1+1"));
    // The second asks nothing anew: the same moment.
    let again = stranger.send(Method::GET, &xlsx, None).await;
    assert_eq!(again.headers()["x-naru-as-of"].to_str().unwrap(), as_of);
    assert!(again.bytes().await.unwrap().starts_with(b"PK"));
    // The secret is nowhere in the state, and what is listed does not show it.
    let secret = csv.trim_start_matches("/s/").trim_end_matches(".csv").to_owned();
    let listed = kim.get(&format!("/api/v1/saved/{id}/links")).await;
    assert!(listed["items"][0]["uses"] == 2 && !listed.to_string().contains(&secret), "{listed}");
    let state = std::fs::read(world.path("naru.db")).unwrap();
    assert!(!state.windows(secret.len()).any(|window| window == secret.as_bytes()));
    let link = made["link"]["id"].as_str().unwrap();
    assert_eq!(
        world.person("lee").await.json(Method::DELETE, &format!("/api/v1/links/{link}"), None).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(kim.json(Method::DELETE, &format!("/api/v1/links/{link}"), None).await.0, StatusCode::NO_CONTENT);
    let ended = stranger.send(Method::GET, &csv, None).await;
    let unknown = stranger.send(Method::GET, &format!("/s/{}.csv", "0".repeat(64)), None).await;
    assert_eq!((ended.status(), unknown.status()), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(ended.text().await.unwrap(), unknown.text().await.unwrap());
}

#[tokio::test]
async fn a_link_that_gives_a_part_says_so_in_its_first_line() {
    let world = World::new().await;
    let kim = world.person("kim").await;
    let id = saved(&kim, "SELECT n FROM shop.numbers").await;
    let made = kim.post(&format!("/api/v1/saved/{id}/links"), json!({"rows_max": 10})).await;
    let given = world.stranger().send(Method::GET, made["csv"].as_str().unwrap(), None).await;
    assert_eq!(given.headers()["x-naru-complete"].to_str().unwrap(), "false");
    assert_eq!(given.headers()["x-naru-rows-total"].to_str().unwrap(), "200000");
    let text = given.text().await.unwrap();
    assert!(text.lines().next().unwrap().contains("THE FIRST 10 OF 200000 ROWS"), "{text}");
    assert_eq!(text.lines().count(), 12);
}

#[tokio::test]
async fn a_link_has_the_rights_that_its_sharer_has_at_that_moment() {
    let world = World::new().await;
    let choi = world.person("choi").await;
    let id = saved(&choi, "SELECT won FROM hr.pay").await;
    let made = choi.post(&format!("/api/v1/saved/{id}/links"), json!({})).await;
    let csv = made["csv"].as_str().unwrap();
    let stranger = world.stranger();
    assert_eq!(stranger.send(Method::GET, csv, None).await.status(), StatusCode::OK);
    world.policy.replace(rights("[groups]\n"));
    let refused = stranger.send(Method::GET, csv, None).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!refused.text().await.unwrap().contains("hr"));
    let account = world.account("choi").await;
    world.people.offboard(account.id, None).await.unwrap();
    assert_eq!(stranger.send(Method::GET, csv, None).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn whoever_guesses_secrets_is_told_to_wait() {
    let world = World::new().await;
    let stranger = world.stranger();
    let mut last = StatusCode::OK;
    for n in 0..21 {
        last = stranger.send(Method::GET, &format!("/s/{n:064x}.csv"), None).await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

async fn block(kim: &Person, sql: &str, cell: &str) -> String {
    let id = saved(kim, sql).await;
    let address = format!("https://docs.google.com/spreadsheets/d/{SPREADSHEET}/edit#gid=7");
    let new = json!({"spreadsheet": address, "sheet": "매출", "cell": cell, "schedule": "0 9 * * 1-5"});
    let sheet = kim.post(&format!("/api/v1/saved/{id}/sheets"), new).await;
    format!("/api/v1/sheets/{}", sheet["id"].as_str().unwrap())
}

fn value(tab: &naru_testkit::sheets::Tab, row: u64, column: u64) -> Value {
    tab.cells.get(&(row, column)).map_or(Value::Null, |cell| cell["userEnteredValue"].clone())
}

#[tokio::test]
async fn a_block_is_written_in_place_and_what_is_around_it_stays() {
    let world = World::new().await;
    let kim = world.person("kim").await;
    world.google.put(0, 0, "mine");
    world.google.put(3, 4, "mine too");
    let sheet = block(&kim, "SELECT id, `이름`, day FROM shop.orders ORDER BY id", "B2").await;
    // The first answers ask to wait.
    world.google.refuse(429, Some(0));
    world.google.refuse(503, None);
    let view = kim.post(&format!("{sheet}/refresh"), json!({})).await;
    assert_eq!((&view["rows"], &view["problem"]), (&json!(5), &Value::Null));
    let tab = world.google.tab();
    let note = value(&tab, 1, 1)["stringValue"].as_str().unwrap().to_owned();
    assert!(note.starts_with("refreshed as of ") && note.ends_with("+09:00, all 5 rows"), "{note}");
    assert_eq!(value(&tab, 2, 2), json!({"stringValue": "이름"}));
    assert_eq!((value(&tab, 3, 1), value(&tab, 4, 2)), (json!({"numberValue": 1.0}), json!({"stringValue": "=1+1"})));
    assert_eq!(tab.cells[&(3, 3)]["userEnteredFormat"]["numberFormat"]["type"], "DATE");
    assert_eq!(value(&tab, 7, 1), json!({"stringValue": "9007199254740993"}));
    assert_eq!(
        (value(&tab, 0, 0), value(&tab, 3, 4)),
        (json!({"stringValue": "mine"}), json!({"stringValue": "mine too"}))
    );
    let updates = |world: &World| world.google.log().iter().filter(|what| *what == "batchUpdate").count();
    assert_eq!(updates(&world), 1);
    // Fewer rows and columns: the rest of the former block is emptied, nothing else.
    let saved = kim.get("/api/v1/saved").await["items"][0].clone();
    let change = json!({"revision": 1, "sql": "SELECT id FROM shop.orders WHERE id < 2"});
    kim.json(Method::PUT, &format!("/api/v1/saved/{}", saved["id"].as_str().unwrap()), Some(change)).await;
    kim.post(&format!("{sheet}/refresh"), json!({})).await;
    let tab = world.google.tab();
    let left: Vec<(u64, u64)> = tab.cells.keys().copied().collect();
    assert_eq!(left, [(0, 0), (1, 1), (2, 1), (3, 1), (3, 4)]);
}

#[tokio::test]
async fn a_block_grows_the_sheet_and_never_over_what_somebody_wrote() {
    let world = World::new().await;
    let kim = world.person("kim").await;
    let sheet = block(&kim, "SELECT n, n AS a, n AS b, n AS c FROM shop.numbers WHERE n < 30 ORDER BY n", "B10").await;
    kim.post(&format!("{sheet}/refresh"), json!({})).await;
    let tab = world.google.tab();
    assert_eq!((tab.rows, tab.columns, value(&tab, 40, 4)), (41, 5, json!({"numberValue": 29.0})));
    let other = block(&kim, "SELECT n FROM shop.numbers WHERE n < 12", "A1").await;
    world.google.put(5, 0, "a note of mine");
    let before = world.google.tab().cells;
    let (status, body) = kim.json(Method::POST, &format!("{other}/refresh"), Some(json!({}))).await;
    assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!("sheets.occupied")), "{body}");
    assert_eq!(world.google.tab().cells, before);
    world.google.unshare();
    let (_, body) = kim.json(Method::POST, &format!("{sheet}/refresh"), Some(json!({}))).await;
    assert!(body["code"] == "sheets.forbidden" && body["hint"].as_str().unwrap().contains("naru@acme"), "{body}");
    let listed = kim.get("/api/v1/saved").await["items"][0]["id"].as_str().unwrap().to_owned();
    let listed = kim.get(&format!("/api/v1/saved/{listed}/sheets")).await;
    assert!(listed["items"].as_array().unwrap().iter().all(|sheet| !sheet["problem"].is_null()), "{listed}");
}
