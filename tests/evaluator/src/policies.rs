//! Policy documents as AWS gets them: `data.aws_iam_policy_document` of a plan, with its
//! sources, in IAM's JSON.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>

use serde_json::{Map, Value as Json, json};

use crate::arns::Place;
use crate::plan::{Instance, Plan};

/// The document that an argument refers to: `<data.aws_iam_policy_document.x.json>`.
///
/// # Errors
///
/// It refers to no document, or the document to what does not follow from names.
pub fn document(plan: &Plan, place: &Place, argument: &str) -> Result<Json, String> {
    let instance = plan
        .referred(argument)
        .filter(|it| it.kind == "aws_iam_policy_document")
        .ok_or_else(|| format!("{argument} is no policy document"))?;
    let statements = statements(plan, instance)?;
    let written = statements.iter().map(|it| statement(plan, place, it));
    let written = written.collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "Version": "2012-10-17", "Statement": written }))
}

/// A document's statements, those of its sources first, as the provider puts them.
fn statements(plan: &Plan, document: &Instance) -> Result<Vec<Json>, String> {
    let mut all = Vec::new();
    for source in document.blocks("source_policy_documents") {
        let text = source.as_str().unwrap_or_default();
        let source = plan.referred(text).ok_or_else(|| {
            format!("{}: source {text} is no policy document", document.address())
        })?;
        all.extend(statements(plan, source)?);
    }
    if !document.blocks("override_policy_documents").is_empty() {
        return Err(format!("{}: overriding is not read here", document.address()));
    }
    all.extend(document.blocks("statement").iter().cloned());
    Ok(all)
}

fn statement(plan: &Plan, place: &Place, written: &Json) -> Result<Json, String> {
    let filled = |value: &Json| -> Result<Vec<String>, String> {
        let texts = value.as_array().into_iter().flatten().filter_map(Json::as_str);
        texts.map(|it| place.filled(plan, it)).collect()
    };
    let mut statement = Map::new();
    if let Some(sid) = written["sid"].as_str() {
        statement.insert("Sid".to_owned(), sid.into());
    }
    let effect = written["effect"].as_str().unwrap_or("Allow");
    statement.insert("Effect".to_owned(), effect.into());
    for (name, key) in [
        ("actions", "Action"),
        ("not_actions", "NotAction"),
        ("resources", "Resource"),
        ("not_resources", "NotResource"),
    ] {
        if !written[name].is_null() {
            statement.insert(key.to_owned(), json!(filled(&written[name])?));
        }
    }
    for (name, key) in [("principals", "Principal"), ("not_principals", "NotPrincipal")] {
        let mut principals = Map::new();
        for block in written[name].as_array().into_iter().flatten() {
            let kind = block["type"].as_str().unwrap_or_default();
            let identifiers = filled(&block["identifiers"])?;
            // The provider writes everybody as IAM does.
            if kind == "*" {
                statement.insert(key.to_owned(), "*".into());
            } else {
                principals.insert(kind.to_owned(), json!(identifiers));
            }
        }
        if !principals.is_empty() {
            statement.insert(key.to_owned(), Json::Object(principals));
        }
    }
    let mut conditions = Map::new();
    for block in written["condition"].as_array().into_iter().flatten() {
        let part = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
        let tests = conditions.entry(part("test")).or_insert_with(|| json!({}));
        tests[part("variable")] = json!(filled(&block["values"])?);
    }
    if !conditions.is_empty() {
        statement.insert("Condition".to_owned(), Json::Object(conditions));
    }
    Ok(Json::Object(statement))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::module::Module;
    use crate::plan::plan;

    #[test]
    fn a_document_is_written_as_iam_reads_it_with_its_sources_first() {
        let text = r#"
            resource "aws_sqs_queue" "q" { name = "q" }
            data "aws_iam_policy_document" "source" {
              statement {
                sid       = "First"
                actions   = ["xray:PutTraceSegments"]
                resources = ["*"]
              }
            }
            data "aws_iam_policy_document" "d" {
              source_policy_documents = [data.aws_iam_policy_document.source.json]
              statement {
                sid       = "Tls"
                effect    = "Deny"
                actions   = ["sqs:*"]
                resources = [aws_sqs_queue.q.arn]
                principals {
                  type        = "*"
                  identifiers = ["*"]
                }
                condition {
                  test     = "Bool"
                  variable = "aws:SecureTransport"
                  values   = ["false"]
                }
                condition {
                  test     = "Bool"
                  variable = "aws:ViaAWSService"
                  values   = ["false"]
                }
              }
              statement {
                actions = ["sqs:SendMessage"]
                principals {
                  type        = "Service"
                  identifiers = ["events.amazonaws.com"]
                }
              }
            }
            resource "aws_sqs_queue_policy" "p" {
              queue_url = aws_sqs_queue.q.id
              policy    = data.aws_iam_policy_document.d.json
            }"#;
        let plan = plan(&Module::parse(Path::new("."), [("main.tf", text)]), &hcl::Map::new());
        let place = Place {
            account_id: "1".repeat(12),
            region: "us-east-1".to_owned(),
            known: BTreeMap::new(),
        };
        let policy = plan.all("aws_sqs_queue_policy").next().unwrap();
        assert_eq!(
            document(&plan, &place, policy.text("policy")),
            Ok(json!({
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "First", "Effect": "Allow",
                        "Action": ["xray:PutTraceSegments"], "Resource": ["*"],
                    },
                    {
                        "Sid": "Tls", "Effect": "Deny", "Principal": "*",
                        "Action": ["sqs:*"],
                        "Resource": ["arn:aws:sqs:us-east-1:111111111111:q"],
                        "Condition": { "Bool": {
                            "aws:SecureTransport": ["false"], "aws:ViaAWSService": ["false"],
                        } },
                    },
                    {
                        "Effect": "Allow", "Action": ["sqs:SendMessage"],
                        "Principal": { "Service": ["events.amazonaws.com"] },
                    },
                ],
            }))
        );
    }
}
