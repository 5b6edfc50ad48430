//! REST on the same port, as PHP's library and plain programs use it.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::world::World;

async fn ask(world: &World, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = Client::new().request(method, format!("http://{}/v1/projects/acme/{path}", world.address));
    let request = if body.is_null() { request } else { request.body(body.to_string()) };
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_topics_are_served_as_json() {
    let mut world = World::new().await;
    let (status, made) = ask(&world, Method::PUT, "topics/orders", &json!({"labels": {"a": "b"}})).await;
    assert_eq!(
        (status, &made["name"], &made["labels"]["a"]),
        (200, &json!("projects/acme/topics/orders"), &json!("b"))
    );
    let (status, again) = ask(&world, Method::PUT, "topics/orders", &json!({})).await;
    assert_eq!((status, &again["error"]["status"]), (409, &json!("ALREADY_EXISTS")));
    let config =
        json!({"topic": "projects/acme/topics/orders", "ackDeadlineSeconds": 30, "enableExactlyOnceDelivery": true});
    let (status, made) = ask(&world, Method::PUT, "subscriptions/orders", &config).await;
    assert_eq!((status, &made["messageRetentionDuration"], &made["state"]), (200, &json!("604800s"), &json!("ACTIVE")));
    let messages = json!({"messages": [{"data": "aGk=", "attributes": {"k": "v"}}, {"data": "eW8="}]});
    let (status, published) = ask(&world, Method::POST, "topics/orders:publish", &messages).await;
    assert_eq!((status, published["messageIds"].as_array().unwrap().len()), (200, 2));
    let (status, pulled) = ask(&world, Method::POST, "subscriptions/orders:pull", &json!({"maxMessages": 5})).await;
    let received = &pulled["receivedMessages"];
    assert_eq!(
        (status, &received[0]["message"]["data"], &received[1]["message"]["data"]),
        (200, &json!("aGk="), &json!("eW8="))
    );
    assert_eq!(received[0]["message"]["attributes"], json!({"k": "v"}));
    assert!(received[0]["message"]["publishTime"].as_str().unwrap().ends_with('Z'));
    let ids = json!({"ackIds": [received[0]["ackId"]]});
    assert_eq!(ask(&world, Method::POST, "subscriptions/orders:acknowledge", &ids).await, (200, json!({})));
    let (status, refused) = ask(&world, Method::POST, "subscriptions/orders:acknowledge", &ids).await;
    assert_eq!((status, &refused["error"]["details"][0]["reason"]), (400, &json!("EXACTLY_ONCE_ACKID_FAILURE")));
    let patch = json!({"subscription": {"ackDeadlineSeconds": 60}, "updateMask": "ackDeadlineSeconds"});
    let (status, patched) = ask(&world, Method::PATCH, "subscriptions/orders", &patch).await;
    assert_eq!((status, &patched["ackDeadlineSeconds"]), (200, &json!(60)));
    let (_, listed) = ask(&world, Method::GET, "topics?pageSize=1&alt=json", &Value::Null).await;
    assert_eq!(listed["topics"][0]["name"], json!("projects/acme/topics/orders"));
    let (status, missing) = ask(&world, Method::GET, "topics/nothing", &Value::Null).await;
    assert_eq!((status, &missing["error"]["code"]), (404, &json!(404)));
    let (status, _) = ask(&world, Method::POST, "topics/orders:publish", &json!({"mesages": []})).await;
    assert_eq!(status, 400);
    assert_eq!(ask(&world, Method::DELETE, "topics/orders", &Value::Null).await.0, 200);
    assert_eq!(ask(&world, Method::GET, "topics:explode", &Value::Null).await.0, 404);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_browser_is_refused() {
    let mut world = World::new().await;
    let from_page = Client::new().put(format!("http://{}/v1/projects/acme/topics/orders", world.address));
    let refused = from_page.header("origin", "http://localhost:3000").body("{}").send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 403);
    assert_eq!(ask(&world, Method::GET, "topics/orders", &Value::Null).await.0, 404);
    world.stop().await;
}
