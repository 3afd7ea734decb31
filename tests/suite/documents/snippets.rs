//! Routes and Terraform as the documents show them.

use hcl::expr::{Expression, ObjectKey};
use inbox_processor::routes::{Routes, Surroundings};
use serde_json::Value;

use super::blocks::{Block, in_language, read};

/// What the processor itself says of routes, but for the example's own handler, which no
/// registry has.
pub(super) fn problems_of_routes(text: &str) -> Option<String> {
    let surroundings = Surroundings::complete(Vec::new());
    let read = Routes::of_undeployed(text, &surroundings, |_| None);
    let problems = read.err().unwrap_or_default();
    let real = problems.into_iter().filter(|it| !it.contains("no handler is named \"notify\""));
    let real: Vec<String> = real.collect();
    (!real.is_empty()).then(|| real.join("; "))
}

#[test]
fn every_json_is_json_and_routes_in_it_are_taken_by_the_processor() {
    let all = in_language("json");
    assert!(all.len() >= 2, "{all:?}");
    for block in all {
        let value: Value = serde_json::from_str(&block.text)
            .unwrap_or_else(|fault| panic!("{}: {fault}", block.place));
        if value.is_array() {
            let problems = problems_of_routes(&block.text);
            assert_eq!(problems, None, "{}: the processor refuses these routes", block.place);
        }
    }
}

#[test]
fn every_terraform_snippet_is_hcl_whose_routes_and_variables_are_those_of_the_module() {
    let variables = read("infra/modules/inbox/variables.tf") + &read("infra/variables.tf");
    let mut all = in_language("hcl");
    // What the guide to a first deployment has copied.
    let settings = "infra/settings.tfvars.example";
    all.push(Block { place: settings.to_owned(), text: read(settings), ..all[0].clone() });
    assert!(all.len() >= 4, "{}", all.len());
    let mut routes_seen = 0;
    for block in all {
        let body = hcl::parse(&block.text)
            .unwrap_or_else(|fault| panic!("{}: not HCL: {fault}", block.place));
        let modules = body.blocks().filter(|it| {
            it.identifier() == "module"
                && it.body().attributes().any(|attribute| {
                    attribute.key() == "source"
                        && attribute.expr().to_string().contains("modules/inbox?")
                })
        });
        let top = body.attributes().chain(modules.flat_map(|it| it.body().attributes()));
        for attribute in top {
            let (name, expression) = (attribute.key(), attribute.expr());
            let is_known = name == "source" || variables.contains(&format!("variable \"{name}\""));
            assert!(is_known, "{}: there is no variable {name}", block.place);
            if name == "processor"
                && let Some(routes) = member(expression, "routes")
            {
                routes_seen += 1;
                let text = plain(routes).to_string();
                let problems = problems_of_routes(&text);
                assert_eq!(problems, None, "{}: the processor refuses these routes", block.place);
            }
        }
    }
    assert!(routes_seen >= 2, "{routes_seen} snippets with routes");
}

fn member<'a>(expression: &'a Expression, name: &str) -> Option<&'a Expression> {
    let Expression::Object(object) = expression else { return None };
    object.iter().find(|(key, _)| key_text(key) == name).map(|(_, value)| value)
}

fn key_text(key: &ObjectKey) -> String {
    match key {
        ObjectKey::Identifier(name) => name.to_string(),
        other => other.to_string().trim_matches('"').to_owned(),
    }
}

/// The value, with something of the right form in place of what a reference would be.
fn plain(expression: &Expression) -> Value {
    match expression {
        Expression::Null => Value::Null,
        Expression::Bool(it) => (*it).into(),
        Expression::Number(it) => serde_json::from_str(&it.to_string()).unwrap_or_default(),
        Expression::String(it) => it.clone().into(),
        Expression::Array(items) => items.iter().map(plain).collect(),
        Expression::Object(object) => {
            let members = object.iter().map(|(key, value)| (key_text(key), plain(value)));
            Value::Object(members.collect())
        }
        reference => {
            let text = reference.to_string();
            let value = match text.rsplit('.').next() {
                Some("url" | "id") if text.contains("sqs") => {
                    "https://sqs.eu-central-1.amazonaws.com/123456789012/example".to_owned()
                }
                Some("arn") if text.contains("sns") => {
                    "arn:aws:sns:eu-central-1:123456789012:example".to_owned()
                }
                Some("arn") if text.contains("event_bus") => {
                    "arn:aws:events:eu-central-1:123456789012:event-bus/example".to_owned()
                }
                _ => text,
            };
            value.into()
        }
    }
}
