//! Running, paging, downloading.

use naru_testkit::python;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_query_is_paged_as_the_contract_writes_values() {
    let world = World::new().await;
    let kim = world.person("kim").await;
    let done = kim.run("SELECT * FROM shop.orders ORDER BY id").await;
    assert_eq!(
        (&done["state"], &done["rows_total"], &done["complete"]),
        (&json!("done"), &json!(5), &json!(true)),
        "{done}"
    );
    let types: Vec<_> =
        done["columns"].as_array().unwrap().iter().map(|column| column["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["INT64", "STRING", "NUMERIC", "DATE", "JSON"]);
    assert_eq!(done["reads"][0]["table"], "shop.orders");
    let id = done["id"].as_str().unwrap();
    let page = kim.get(&format!("/api/v1/queries/{id}/rows?from=0&count=2")).await;
    assert_eq!(page["rows"][0], json!([1, "김치", "1.5", "2026-11-23", "{\"n\": 9007199254740993}"]));
    assert_eq!(page["rows"][1], json!([2, "=1+1", "-0.000000005", null, null]));
    let page = kim.get(&format!("/api/v1/queries/{id}/rows?from=4")).await;
    assert_eq!((&page["rows"][0][0], &page["complete"]), (&json!("9007199254740993"), &json!(true)));
    // Nobody else has ever heard of it.
    let lee = world.person("lee").await;
    for path in ["", "/rows", "/events", "/download?format=csv"] {
        let (status, body) = lee.json(Method::GET, &format!("/api/v1/queries/{id}{path}"), None).await;
        assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!("query.not_found")), "{path}");
    }
    let (status, _) = world.stranger().json(Method::GET, &format!("/api/v1/queries/{id}"), None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_went_wrong_has_its_place_and_a_forbidden_table_is_an_unknown_one() {
    let world = World::new().await;
    let kim = world.person("kim").await;
    let wrong = kim.run("SELECT 1;\nSELECT x FROM shop.orders").await;
    assert_eq!((&wrong["state"], &wrong["problem"]["code"]), (&json!("failed"), &json!("sql.name")));
    assert_eq!(wrong["position"], json!({"line": 2, "column": 8}));
    let hidden = kim.run("SELECT * FROM hr.pay").await["problem"]["summary"].as_str().unwrap().replace("pay", "non");
    assert_eq!(hidden, kim.run("SELECT * FROM hr.non").await["problem"]["summary"].as_str().unwrap());
}

#[tokio::test]
async fn a_query_is_cancelled_down_to_the_engine_and_rights_taken_away_take_its_rows_too() {
    let world = World::new().await;
    let kim = world.person("kim").await;
    let endless = "SELECT COUNT(*) AS c FROM shop.numbers AS a CROSS JOIN shop.numbers AS b WHERE a.n * b.n = -1";
    let query = kim.post("/api/v1/queries", json!({"sql": endless})).await;
    let id = query["id"].as_str().unwrap().to_owned();
    kim.post(&format!("/api/v1/queries/{id}/cancel"), json!({})).await;
    assert_eq!(kim.last(&id).await["state"], "cancelled");
    while world.warehouse.queries_running() > 0 || world.warehouse.memory_used() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let done = kim.run("SELECT n FROM shop.numbers LIMIT 3").await;
    let rows = format!("/api/v1/queries/{}/rows", done["id"].as_str().unwrap());
    kim.get(&rows).await;
    world.policy.replace(crate::world::rights("[groups]\n"));
    let (status, body) = kim.json(Method::GET, &rows, None).await;
    assert_eq!((status, &body["code"]), (StatusCode::GONE, &json!("query.result_gone")));
}

#[tokio::test]
async fn files_are_whole_and_read_back_the_same_by_other_programs() {
    let world = World::new().await;
    let kim = world.person("kim").await;
    let done = kim.run("SELECT * FROM shop.orders ORDER BY id").await;
    let id = done["id"].as_str().unwrap();
    for format in ["csv", "xlsx", "parquet", "json"] {
        let path = format!("/api/v1/queries/{id}/download?format={format}&name=%EB%A7%A4%EC%B6%9C%2F11");
        let response = kim.send(Method::GET, &path, None).await;
        assert_eq!(response.status(), StatusCode::OK);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((header("x-naru-rows"), header("x-naru-complete")), ("5".to_owned(), "true".to_owned()));
        assert!(header("content-disposition").contains("filename*=UTF-8''%EB%A7%A4%EC%B6%9C_11."), "{format}");
        std::fs::write(world.path(&format!("rows.{format}")), response.bytes().await.unwrap()).unwrap();
    }
    let csv = std::fs::read_to_string(world.path("rows.csv")).unwrap();
    assert!(csv.starts_with("\u{feff}id,이름,total,day,doc\r\n1,김치,1.5,2026-11-23,"), "{csv}");
    assert!(csv.contains("\r\n2,'=1+1,-0.000000005,,\r\n") && csv.contains("\r\n4,'-2,"), "{csv}");
    let plain = kim.send(Method::GET, &format!("/api/v1/queries/{id}/download?format=csv&plain=true"), None).await;
    assert!(plain.text().await.unwrap().contains("\r\n2,=1+1,"));
    let script = "
import openpyxl, pyarrow.parquet, json, sys
rows = list(openpyxl.load_workbook(sys.argv[1]).active.iter_rows(values_only=True))
table = pyarrow.parquet.read_table(sys.argv[2])
data = json.load(open(sys.argv[3]))
print(len(rows), rows[1][:2], rows[2][1], rows[5][0], table.num_rows, table['id'].to_pylist()[4], len(data), data[4]['id'])
";
    let arguments = [world.path("rows.xlsx"), world.path("rows.parquet"), world.path("rows.json")];
    let read = python::run(&["openpyxl==3.1.5", "pandas==2.3.3", "pyarrow==26.0.1"], script, &arguments);
    assert_eq!(read.trim(), "6 (1, '김치') =1+1 9007199254740993 5 9007199254740993 5 9007199254740993");
}

#[tokio::test]
async fn a_result_that_is_not_whole_is_no_file_unless_its_name_says_so() {
    let world = World::with(|settings| settings.keep.rows = 1_000, true).await;
    let kim = world.person("kim").await;
    let done = kim.run("SELECT n FROM shop.numbers").await;
    assert_eq!(
        (&done["rows"], &done["rows_total"], &done["complete"]),
        (&json!(1_000), &json!(200_000), &json!(false))
    );
    let path = format!("/api/v1/queries/{}/download?format=csv", done["id"].as_str().unwrap());
    let (status, body) = kim.json(Method::GET, &path, None).await;
    assert_eq!((status, &body["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("query.reason_needed")));
    let (status, body) = kim.json(Method::GET, &format!("{path}&reason=audit"), None).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("query.incomplete")));
    let part = kim.send(Method::GET, &format!("{path}&reason=audit&part=kept&name=n"), None).await;
    let name = part.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(name.contains("n (first 1000 of 200000).csv"), "{name}");
    assert_eq!(part.text().await.unwrap().lines().count(), 1_001);
}

#[tokio::test]
async fn mistakes_and_completions_come_while_somebody_writes_and_name_nothing_hidden() {
    let world = World::new().await;
    let kim = world.person("kim").await;
    let sql = "SELECT id FROM shop.orders;\nSELECT n FROM shop.numbres";
    let checked = kim.post("/api/v1/queries/check", json!({"sql": sql, "cursor": {"line": 1, "column": 3}})).await;
    assert_eq!(checked["statements"].as_array().unwrap().len(), 2);
    assert_eq!(checked["columns"][0]["name"], "id");
    assert_eq!(checked["estimate"]["tables"], json!(["shop.orders"]));
    let mistake = &checked["problems"][0];
    assert_eq!((&mistake["code"], &mistake["instead"]), (&json!("sql.no_table"), &json!("shop.numbers")), "{checked}");
    let labels = async |sql: &str| -> Vec<String> {
        let body = json!({"sql": sql, "line": 1, "column": sql.chars().count() + 1});
        let found = kim.post("/api/v1/queries/complete", body).await;
        found["items"].as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(labels("SELECT * FROM shop.").await, ["numbers", "orders"]);
    assert!(!labels("SELECT * FROM ").await.iter().any(|label| label.contains("hr")));
}
