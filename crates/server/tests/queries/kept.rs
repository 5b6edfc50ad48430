//! Drafts, saved queries, history.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn drafts_stay_on_the_server_and_two_windows_do_not_undo_each_other() {
    let world = World::new().await;
    let kim = world.person("kim").await;
    let draft = kim.post("/api/v1/drafts", json!({"title": "탭", "sql": "SELECT 1"})).await;
    let path = format!("/api/v1/drafts/{}", draft["id"].as_str().unwrap());
    let query = kim.post("/api/v1/queries", json!({"sql": "SELECT 1", "draft": draft["id"]})).await;
    let change = json!({"revision": 1, "sql": "SELECT 2"});
    let (status, changed) = kim.json(Method::PUT, &path, Some(change.clone())).await;
    assert_eq!((status, &changed["revision"], &changed["query"]), (StatusCode::OK, &json!(2), &query["id"]));
    let (status, conflict) = kim.json(Method::PUT, &path, Some(change)).await;
    assert_eq!((status, &conflict["code"]), (StatusCode::CONFLICT, &json!("draft.changed")));
    assert_eq!(conflict["current"]["sql"], "SELECT 2");
    let lee = world.person("lee").await;
    assert_eq!(lee.get("/api/v1/drafts").await["items"], json!([]));
    assert_eq!(lee.json(Method::DELETE, &path, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(kim.json(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_saved_query_is_there_for_those_it_is_shared_with_and_runs_with_their_own_rights() {
    let world = World::new().await;
    let (kim, lee, choi) = (world.person("kim").await, world.person("lee").await, world.person("choi").await);
    let new =
        json!({"name": "급여", "sql": "SELECT won FROM hr.pay", "shared": [{"to": "group:analysts", "can": "edit"}]});
    let saved = choi.post("/api/v1/saved", new).await;
    let path = format!("/api/v1/saved/{}", saved["id"].as_str().unwrap());
    let seen = kim.get(&path).await;
    assert_eq!((&seen["can"], &seen["mine"], &seen["owner"]), (&json!("edit"), &json!(false), &json!("choi@acme.kr")));
    // The text is shared, the table is not.
    assert_eq!(kim.run(seen["sql"].as_str().unwrap()).await["problem"]["code"], "sql.no_table");
    let (status, _) = lee.json(Method::PUT, &path, Some(json!({"revision": 1, "name": "pay"}))).await;
    assert_eq!(status, StatusCode::OK);
    let (status, conflict) = kim.json(Method::PUT, &path, Some(json!({"revision": 1, "name": "x"}))).await;
    assert_eq!((status, &conflict["current"]["name"]), (StatusCode::CONFLICT, &json!("pay")));
    let (status, refused) = kim.json(Method::DELETE, &path, None).await;
    assert_eq!((status, &refused["code"]), (StatusCode::FORBIDDEN, &json!("saved.not_yours")));
    let (_, alone) = choi.json(Method::PUT, &path, Some(json!({"revision": 2, "shared": []}))).await;
    assert_eq!(alone["shared"], json!([]), "{alone}");
    assert_eq!(kim.json(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(kim.get("/api/v1/saved").await["items"], json!([]));
}

#[tokio::test]
async fn everybody_finds_what_they_ran_and_nothing_else() {
    let world = World::new().await;
    let (kim, lee) = (world.person("kim").await, world.person("lee").await);
    kim.run("SELECT id FROM shop.orders").await;
    kim.run("SELECT Nothing FROM shop.orders").await;
    let all = kim.get("/api/v1/history").await;
    let states: Vec<_> = all["items"].as_array().unwrap().iter().map(|ran| ran["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["failed", "done"]);
    assert_eq!((&all["items"][1]["rows"], &all["items"][0]["problem_code"]), (&json!(5), &json!("sql.name")));
    assert_eq!(kim.get("/api/v1/history?find=nothing").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(lee.get("/api/v1/history").await["items"], json!([]));
}
