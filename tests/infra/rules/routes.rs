//! Sources: a provider that the receiver knows, and a route to the receiver.

use inbox_receiver::providers;
use serde_json::json;

use super::{catches, holds};
use crate::plan::{Instance, Plan};

fn receivers(plan: &Plan) -> Vec<&Instance> {
    plan.functions().into_iter().filter(|(it, _)| *it == "receiver").map(|(_, it)| it).collect()
}

fn variable<'a>(function: &'a Instance, name: &str) -> &'a str {
    function.values["environment"][0]["variables"][name].as_str().unwrap_or_default()
}

fn providers_are_registered(plan: &Plan) -> Vec<String> {
    let unknown = receivers(plan)
        .into_iter()
        .filter(|it| providers::find(variable(it, "PROVIDER")).is_none());
    unknown
        .map(|it| format!("{}: unknown provider {:?}", it.address(), variable(it, "PROVIDER")))
        .collect()
}

/// Payload format 2.0: the receiver reads no other.
fn every_source_has_its_routes(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for receiver in receivers(plan) {
        let source = variable(receiver, "SOURCE");
        let integrations: Vec<_> = plan
            .all("aws_apigatewayv2_integration")
            .filter(|it| {
                let called = plan.called(it.text("integration_uri"));
                called.is_some_and(|it| it.address() == receiver.address())
            })
            .collect();
        let [integration] = &integrations[..] else {
            problems.push(format!("{source}: there is not one integration"));
            continue;
        };
        if integration.text("payload_format_version") != "2.0" {
            problems.push(format!("{source}: payload format is not 2.0"));
        }
        let target = format!("integrations/{}", integration.reference("id"));
        let routes = plan.all("aws_apigatewayv2_route").filter(|it| it.text("target") == target);
        let keys: Vec<&str> = routes.map(|it| it.text("route_key")).collect();
        if !keys.contains(&format!("POST /webhooks/{source}").as_str()) {
            problems.push(format!("{source}: no route for POST"));
        }
        let is_foreign = |key: &&&str| !key.ends_with(&format!(" /webhooks/{source}"));
        for key in keys.iter().filter(is_foreign) {
            problems.push(format!("{source}: {key} leads here"));
        }
        for key in &keys {
            if !may_be_called(plan, receiver, key) {
                problems.push(format!("{source}: API Gateway may not call it for {key}"));
            }
        }
    }
    problems
}

fn may_be_called(plan: &Plan, receiver: &Instance, route_key: &str) -> bool {
    let path = route_key.replace(' ', "");
    plan.all("aws_lambda_permission").any(|it| {
        let function = it.text("function_name");
        let names = [receiver.text("function_name").to_owned(), receiver.reference("arn")];
        let arn = it.text("source_arn");
        it.text("principal") == "apigateway.amazonaws.com"
            && names.iter().any(|name| name == function)
            && (arn.ends_with(&path) || arn.ends_with(path.split_once('/').map_or("", |it| it.1)))
            && arn.contains(".execution_arn>/")
    })
}

/// A flood of requests, forged or not, ends at the gateway.
fn every_route_is_throttled(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for stage in plan.all("aws_apigatewayv2_stage") {
        let settings =
            stage.blocks("route_settings").iter().chain(stage.blocks("default_route_settings"));
        for setting in settings {
            let is_limited = |name: &str| setting[name].as_f64().is_some_and(|it| it > 0.0);
            if !(is_limited("throttling_rate_limit") && is_limited("throttling_burst_limit")) {
                problems.push(format!("{} is not throttled", setting["route_key"]));
            }
        }
        let keys: Vec<&str> = stage
            .blocks("route_settings")
            .iter()
            .filter_map(|it| it["route_key"].as_str())
            .collect();
        for route in plan.all("aws_apigatewayv2_route") {
            let key = route.text("route_key");
            if !keys.contains(&key) && !keys.contains(&route.reference("route_key").as_str()) {
                problems.push(format!("{key} has no throttle of its own"));
            }
        }
    }
    problems
}

/// Twilio and others put what must not be read into the query.
fn access_logs_hold_no_query(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for stage in plan.all("aws_apigatewayv2_stage") {
        let Some(format) = stage.values["access_log_settings"][0]["format"].as_str() else {
            problems.push(format!("{}: no access log", stage.address()));
            continue;
        };
        for word in ["queryString", "rawQueryString", "$context.path", "authorizer", "header"] {
            if format.to_lowercase().contains(&word.to_lowercase()) {
                problems.push(format!("{}: {word} is logged", stage.address()));
            }
        }
    }
    problems
}

#[test]
fn every_provider_of_a_source_is_in_the_receivers_registry() {
    let rule = providers_are_registered;
    holds(rule);
    catches(rule, "unknown provider \"strip\"", |plan| {
        let receiver = "aws_lambda_function.receiver[\"stripe_eu\"]";
        plan.set(receiver, "/environment/0/variables/PROVIDER", json!("strip"));
    });
    // The default sources are one of each.
    let mut sources: Vec<_> =
        receivers(&super::PLAIN).iter().map(|it| variable(it, "PROVIDER")).collect();
    sources.sort_unstable();
    let mut known: Vec<_> = providers::names().collect();
    known.sort_unstable();
    assert_eq!(sources, known);
}

#[test]
fn every_source_has_a_route_to_its_own_receiver() {
    let rule = every_source_has_its_routes;
    holds(rule);
    catches(rule, "github: no route for POST", |plan| {
        plan.remove(|it| {
            it.kind == "aws_apigatewayv2_route" && it.text("route_key").contains("github")
        });
    });
    catches(rule, "payload format is not 2.0", |plan| {
        plan.set(
            "aws_apigatewayv2_integration.receiver[\"github\"]",
            "/payload_format_version",
            json!("1.0"),
        );
    });
    catches(rule, "may not call it", |plan| plan.remove(|it| it.kind == "aws_lambda_permission"));
}

#[test]
fn every_route_is_throttled_by_itself() {
    let rule = every_route_is_throttled;
    holds(rule);
    catches(rule, "has no throttle of its own", |plan| {
        plan.set("aws_apigatewayv2_stage.this", "/route_settings", json!([]));
    });
    catches(rule, "null is not throttled", |plan| {
        plan.set(
            "aws_apigatewayv2_stage.this",
            "/default_route_settings/0/throttling_burst_limit",
            json!(0),
        );
    });
}

#[test]
fn access_logs_are_kept_and_hold_no_query() {
    let rule = access_logs_hold_no_query;
    holds(rule);
    catches(rule, "no access log", |plan| {
        plan.set("aws_apigatewayv2_stage.this", "/access_log_settings", json!([]));
    });
    catches(rule, "$context.path is logged", |plan| {
        let place = "/access_log_settings/0/format";
        plan.set("aws_apigatewayv2_stage.this", place, json!("$context.path"));
    });
}
