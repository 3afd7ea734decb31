//! How many of something are made must be known before anything is: no `count` and no
//! `for_each` of a resource or a data source rests on what a caller may only learn from the
//! same apply, such as a topic's ARN or a zone's id. Terraform refuses that at plan, in a
//! caller's account; here it shows in the text.
//!
//! What decides is whether an object is there (`alarms.topic != null`), which is known.
//! <https://developer.hashicorp.com/terraform/language/meta-arguments/count#using-expressions-in-count>

use std::collections::BTreeMap;

use crate::module::{Mistake, Module, attribute};

/// Attributes whose values another resource gives: `.arn`, `topic_arn`, `hosted_zone_id`.
/// A route's or an index's own id and name are written by hand.
fn names_a_thing(word: &str) -> bool {
    let ends = ["arn", "arns", "url", "id", "endpoint"];
    ends.iter().any(|end| word == *end || word.ends_with(&format!("_{end}")))
}

/// What routes are known by; and their options, which decide by being there alone, as
/// targets.tf says: Terraform itself is asked about these.
const WRITTEN_BY_HAND: [&str; 2] = ["route.id", "route.with."];

pub(crate) fn mistakes(module: &Module) -> Vec<Mistake> {
    let locals: BTreeMap<String, String> = module
        .locals()
        .into_iter()
        .map(|(name, (_, expression))| (name.to_owned(), expression.to_string()))
        .collect();
    let mut found = Vec::new();
    for declared in module.declared() {
        for argument in ["count", "for_each"] {
            let Some(given) = attribute(declared.body, argument) else { continue };
            let decides = deciding(&expanded(&given.expr.to_string(), &locals));
            let unknown: Vec<&str> = traversals(&decides)
                .into_iter()
                .filter(|it| !WRITTEN_BY_HAND.iter().any(|by_hand| it.starts_with(by_hand)))
                .filter(|it| it.rsplit('.').next().is_some_and(names_a_thing))
                .collect();
            if !unknown.is_empty() {
                found.push(declared.mistake(format!(
                    "{argument} rests on {}, which may be known after the apply only: let the \
                     presence of an object decide",
                    unknown.join(", ")
                )));
            }
        }
    }
    found
}

/// With the text of each local value in its place.
fn expanded(text: &str, locals: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for _ in 0..8 {
        let before = text.clone();
        for (name, value) in locals {
            let reference = regex_lite::Regex::new(&format!(r"\blocal\.{name}\b")).unwrap();
            text = reference.replace_all(&text, format!("({value})").as_str()).into_owned();
        }
        if text == before {
            break;
        }
    }
    text
}

/// Values of a map do not decide how many there are: what stands behind `=>` or after a
/// key's `=` may be unknown.
fn deciding(text: &str) -> String {
    let values = regex_lite::Regex::new(r"(=>|[a-zA-Z_]+\s*=)\s*[^=,\n}]+").unwrap();
    let compared = regex_lite::Regex::new(r"[!=]=|<=|>=").unwrap();
    let kept = compared.replace_all(text, "≟");
    values.replace_all(&kept, " ").into_owned()
}

/// `var.alarms.topic_arn`, `domain.hosted_zone`
fn traversals(text: &str) -> Vec<&str> {
    let traversal = regex_lite::Regex::new(r"[a-z_]+(\[[^\]]*\])?(\.[a-z_]+)+").unwrap();
    let mut found: Vec<&str> = traversal.find_iter(text).map(|it| it.as_str()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn said(text: &str) -> Vec<String> {
        let module = Module::parse(Path::new("."), [("main.tf", text)]);
        mistakes(&module).iter().map(|it| it.reason.clone()).collect()
    }

    #[test]
    fn what_may_be_unknown_decides_nothing() {
        for (how_many, named) in [
            ("count = var.alarms.topic_arn == null ? 1 : 0", "var.alarms.topic_arn"),
            (
                "for_each = var.alarms.topic_arn == null ? var.alarms.emails : []",
                "var.alarms.topic_arn",
            ),
            (
                "count = length([for domain in local.domains : domain if domain.hosted_zone_id != null])",
                "domain.hosted_zone_id",
            ),
            ("count = local.has_key ? 1 : 0", "var.customer_key.arn"),
            ("count = aws_sqs_queue.q.url != \"\" ? 1 : 0", "aws_sqs_queue.q.url"),
        ] {
            let said = said(&format!(
                "locals {{\n domains = [var.domain]\n has_key = var.customer_key.arn != null\n }}\n\
                 resource \"aws_sqs_queue\" \"x\" {{\n {how_many}\n }}"
            ));
            assert!(said.len() == 1 && said[0].contains(named), "{how_many}: {said:?}");
        }
    }

    #[test]
    fn what_is_known_may_decide() {
        for how_many in [
            "count = var.alarms.topic == null ? 1 : 0",
            "for_each = var.sources",
            "for_each = { for name, it in var.sources : name => it.secret_arn }",
            "for_each = { events = aws_sqs_queue.events.arn }",
            "for_each = { for route in local.routes : route.id => \"x\" if route.handler == \"forward\" }",
        ] {
            let text = format!(
                "locals {{ routes = var.routes }}\nresource \"aws_sqs_queue\" \"x\" {{\n {how_many}\n }}"
            );
            assert_eq!(said(&text), [""; 0], "{how_many}");
        }
    }
}
