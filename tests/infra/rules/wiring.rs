//! Evaluated values against the schema's types, which the text alone does not show.

use serde_json::{Value as Json, json};

use super::{catches, holds};
use crate::plan::Plan;
use crate::schema::{Content, Kind, Schema, schemas};

fn every_value_has_its_type(plan: &Plan) -> Vec<String> {
    let by_end = schemas().map(|schema| {
        let all = problems(plan, schema).into_iter();
        all.map(|it| format!("{it} (provider {})", schema.version()))
    });
    by_end.into_iter().flatten().collect()
}

fn problems(plan: &Plan, schema: &Schema) -> Vec<String> {
    let mut problems = Vec::new();
    for instance in &plan.instances {
        let Some(resource) = schema.find(instance.is_data, &instance.kind) else { continue };
        let address = instance.address();
        check(&instance.values, &resource.block, &address, &mut problems);
    }
    problems
}

fn check(values: &Json, content: &Content, place: &str, problems: &mut Vec<String>) {
    for (name, value) in values.as_object().into_iter().flatten() {
        if let Some(argument) = content.argument(name)
            && !fits(value, &argument.kind)
        {
            let kind = &argument.kind;
            problems.push(format!("{place}: {name} is a {kind}, not {value}"));
        }
        if let Some(nested) = content.block_types.get(name) {
            for block in value.as_array().into_iter().flatten() {
                check(block, &nested.block, &format!("{place}.{name}"), problems);
            }
        }
    }
    // A value that turned out null is one that is not there.
    for name in content.required().filter(|it| values[*it].is_null()) {
        problems.push(format!("{place}: {name} is missing"));
    }
}

fn fits(value: &Json, kind: &Kind) -> bool {
    let is_unknown = value.as_str().is_some_and(|it| it.starts_with('<') && it.ends_with('>'));
    if is_unknown || value.is_null() {
        return true;
    }
    match kind {
        Kind::String => value.is_string() || value.is_number() || value.is_boolean(),
        Kind::Number => {
            value.is_number() || value.as_str().is_some_and(|it| it.parse::<f64>().is_ok())
        }
        Kind::Bool => value.is_boolean() || ["true", "false"].map(Json::from).contains(value),
        Kind::Map(of) => value.as_object().is_some_and(|all| all.values().all(|it| fits(it, of))),
        Kind::Object(of) => value.as_object().is_some_and(|all| {
            all.iter().all(|(name, it)| of.get(name).is_some_and(|kind| fits(it, kind)))
        }),
        Kind::List(of) | Kind::Set(of) => {
            value.as_array().is_some_and(|all| all.iter().all(|it| fits(it, of)))
        }
        Kind::Dynamic => true,
    }
}

#[test]
fn every_evaluated_value_has_the_type_that_the_provider_wants() {
    let rule = every_value_has_its_type;
    holds(rule);
    let queue = "aws_sqs_queue.events";
    catches(rule, "delay_seconds is a number, not \"soon\"", |plan| {
        plan.set(queue, "/delay_seconds", json!("soon"));
    });
    catches(rule, "function_response_types is a set(string), not \"x\"", |plan| {
        plan.set(
            "aws_lambda_event_source_mapping.processor",
            "/function_response_types",
            json!("x"),
        );
    });
    catches(rule, "route_key is missing", |plan| {
        plan.set("aws_apigatewayv2_route.source[\"POST github\"]", "/route_key", json!(null));
    });
}
