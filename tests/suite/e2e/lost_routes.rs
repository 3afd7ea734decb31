//! Events that a change of routes took the route from ring; those that never had one do
//! not.

use std::time::Duration;

use serde_json::{Value, json};

use super::requests::payment;
use super::rig::Rig;

/// How often a log counts events without a route, and those that lost theirs.
fn counted(log: &str) -> (usize, usize) {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let metrics: Vec<Value> = lines.filter(|line| line["_aws"].is_object()).collect();
    let of = |name: &str| metrics.iter().filter(|line| line[name].is_number()).count();
    (of("Unrouted"), of("RouteLost"))
}

#[tokio::test]
async fn an_event_that_lost_its_route_by_a_deployment_is_counted_as_such() {
    let rig = Rig::new().await;
    let deployments = [
        ("github:*", (1, 0), "none takes it, and none did before"),
        ("stripe:*", (1, 0), "it is taken"),
        ("strip:*", (2, 1), "misspelt"),
        ("strip:*", (3, 2), "so it is for another process with the same routes"),
    ];
    for (n, (pattern, expected, why)) in deployments.into_iter().enumerate() {
        let routes = json!([{"id": "mirror", "match": pattern, "handler": "mirror"}]);
        let mut processor = rig.processor(&routes).await;
        rig.accept(&payment().replacing("evt_test_1", &format!("evt_test_1{n}"))).await;
        let kept = rig.process(&mut processor, rig.messages().await).await.expect("an answer");
        assert_eq!(kept, []);
        // What it writes is read by another task.
        for _ in 0..500 {
            if counted(&rig.log("processor")) == expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(counted(&rig.log("processor")), expected, "{pattern}: {why}");
    }
}
