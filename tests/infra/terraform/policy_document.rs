//! `data "aws_iam_policy_document"` as JSON, as the real provider writes it: a list of one
//! stands as a single text, lists are sorted backwards, `Version` is of 2012.
//! <https://github.com/hashicorp/terraform-provider-aws/blob/v6.40.0/internal/service/iam/policy_model.go>

use serde_json::{Map, Value as Json, json};

use super::msgpack::Value;

/// The document that a data source's configuration describes. Documents that it takes in
/// as sources come first.
pub(crate) fn json(configuration: &Value) -> Json {
    let mut statements = Vec::new();
    for source in configuration.member("source_policy_documents").items() {
        let source: Json = serde_json::from_str(source.text()).unwrap_or_default();
        statements.extend(source["Statement"].as_array().into_iter().flatten().cloned());
    }
    statements.extend(configuration.member("statement").items().iter().map(statement));
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn statement(block: &Value) -> Json {
    let mut result = Map::new();
    let sid = block.member("sid").text();
    if !sid.is_empty() {
        result.insert("Sid".to_owned(), json!(sid));
    }
    let effect = block.member("effect").text();
    result.insert("Effect".to_owned(), json!(if effect.is_empty() { "Allow" } else { effect }));
    for (argument, name) in [
        ("actions", "Action"),
        ("not_actions", "NotAction"),
        ("resources", "Resource"),
        ("not_resources", "NotResource"),
    ] {
        let items = block.member(argument).items();
        if !items.is_empty() {
            result.insert(name.to_owned(), texts(items));
        }
    }
    for (argument, name) in [("principals", "Principal"), ("not_principals", "NotPrincipal")] {
        let principals = block.member(argument).items();
        if !principals.is_empty() {
            result.insert(name.to_owned(), all_principals(principals));
        }
    }
    let mut conditions = Map::new();
    for condition in block.member("condition").items() {
        let test = conditions.entry(condition.member("test").text()).or_insert(json!({}));
        test[condition.member("variable").text()] = texts(condition.member("values").items());
    }
    if !conditions.is_empty() {
        result.insert("Condition".to_owned(), Json::Object(conditions));
    }
    Json::Object(result)
}

fn all_principals(blocks: &[Value]) -> Json {
    let is_anybody =
        |it: &Value| it.member("type").text() == "*" && it.member("identifiers").items().len() == 1;
    if blocks.iter().any(is_anybody) {
        return json!("*");
    }
    let all = blocks
        .iter()
        .map(|it| (it.member("type").text().to_owned(), texts(it.member("identifiers").items())));
    Json::Object(all.collect())
}

fn texts(items: &[Value]) -> Json {
    let mut all: Vec<&str> = items.iter().map(Value::text).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    match all.as_slice() {
        [one] => json!(one),
        all => json!(all),
    }
}
