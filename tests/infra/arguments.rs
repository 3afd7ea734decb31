//! Holds every resource's and data source's arguments and blocks against the schema:
//! unknown ones, missing ones, and values whose type is plain to see and wrong.

use std::collections::BTreeSet;

use hcl::expr::Expression;
use hcl::structure::{Block, Body, Structure};

use crate::module::{Declared, Mistake, Module, attribute, label};
use crate::schema::{Content, Kind, Schema, schemas};

/// What Terraform itself takes in any resource.
/// <https://developer.hashicorp.com/terraform/language/meta-arguments/depends_on>
const META_ARGUMENTS: [&str; 5] = ["count", "depends_on", "for_each", "provider", "provisioner"];
const LIFECYCLE_ARGUMENTS: [&str; 6] = [
    "create_before_destroy",
    "ignore_changes",
    "postcondition",
    "precondition",
    "prevent_destroy",
    "replace_triggered_by",
];

/// Every mistake in a module's resources and data sources, by both ends of the provider.
/// What both say stands there once.
pub(crate) fn mistakes(module: &Module) -> Vec<Mistake> {
    let by_end = schemas().map(|schema| (schema.version(), mistakes_by(module, schema)));
    let [(oldest, by_oldest), (newest, by_newest)] = &by_end;
    let only = |version: &str, mistake: &Mistake| Mistake {
        reason: format!("{} (provider {version})", mistake.reason),
        ..mistake.clone()
    };
    let mut found: Vec<Mistake> = Vec::new();
    for mistake in by_oldest {
        let is_in_both = by_newest.contains(mistake);
        found.push(if is_in_both { mistake.clone() } else { only(oldest, mistake) });
    }
    let new = by_newest.iter().filter(|it| !by_oldest.contains(it));
    found.extend(new.map(|it| only(newest, it)));
    found
}

fn mistakes_by(module: &Module, schema: &Schema) -> Vec<Mistake> {
    let mut found = Vec::new();
    for declared in module.declared() {
        match schema.find(declared.is_data, declared.kind) {
            Some(resource) => {
                Check { declared, found: &mut found }.body(declared.body, &resource.block, "");
            }
            None => found.push(declared.mistake(format!(
                "the provider's schema does not know {}; if the provider does, add it: make infra-schema",
                declared.kind
            ))),
        }
    }
    found
}

struct Check<'a> {
    declared: Declared<'a>,
    found: &'a mut Vec<Mistake>,
}

impl Check<'_> {
    fn wrong(&mut self, reason: String) {
        self.found.push(self.declared.mistake(reason));
    }

    /// `within` is empty for the resource itself, else `rule.filter.`.
    fn body(&mut self, body: &Body, content: &Content, within: &str) {
        let mut given = BTreeSet::new();
        for structure in body {
            match structure {
                Structure::Attribute(it) => {
                    let name = it.key.as_str();
                    given.insert(name.to_owned());
                    match content.argument(name) {
                        Some(argument) => {
                            let kind = &argument.kind;
                            if let Some(fault) = misfit(&it.expr, kind) {
                                self.wrong(format!("{within}{name} is a {kind}, not {fault}"));
                            }
                        }
                        None if within.is_empty() && META_ARGUMENTS.contains(&name) => {}
                        None if content.block_types.contains_key(name) => {
                            self.wrong(format!("{within}{name} is a block: write it without `=`"));
                        }
                        None => self.wrong(format!("there is no argument {within}{name}")),
                    }
                }
                Structure::Block(block) => self.block(block, content, within, &mut given),
            }
        }
        for name in content.required().filter(|name| !given.contains(*name)) {
            self.wrong(format!("{within}{name} is missing"));
        }
    }

    fn block(
        &mut self,
        block: &Block,
        content: &Content,
        within: &str,
        given: &mut BTreeSet<String>,
    ) {
        let is_dynamic = block.identifier.as_str() == "dynamic";
        let name = if is_dynamic { label(block, 0) } else { block.identifier.as_str() };
        if name == "lifecycle" && within.is_empty() {
            return self.lifecycle(&block.body);
        }
        if name == "provisioner" && within.is_empty() {
            return;
        }
        let Some(nested) = content.block_types.get(name) else {
            return match content.argument(name) {
                Some(_) => self.wrong(format!("{within}{name} is an argument: write it with `=`")),
                None => self.wrong(format!("there is no block {within}{name}")),
            };
        };
        let is_second = !given.insert(name.to_owned());
        if is_second && !nested.is_many() {
            self.wrong(format!("there may be only one block {within}{name}"));
        }
        let inner = format!("{within}{name}.");
        if !is_dynamic {
            return self.body(&block.body, &nested.block, &inner);
        }
        let content = block.body.blocks().find(|it| it.identifier.as_str() == "content");
        match (attribute(&block.body, "for_each"), content) {
            (Some(_), Some(content)) => self.body(&content.body, &nested.block, &inner),
            _ => self.wrong(format!("dynamic {within}{name} needs for_each and content")),
        }
    }

    fn lifecycle(&mut self, body: &Body) {
        for structure in body {
            let name = match structure {
                Structure::Attribute(it) => it.key.as_str(),
                Structure::Block(it) => it.identifier.as_str(),
            };
            if !LIFECYCLE_ARGUMENTS.contains(&name) {
                self.wrong(format!("there is no argument lifecycle.{name}"));
            }
        }
    }
}

/// What a written value is, where it can be seen that it is not of this type.
/// Terraform itself turns numbers and booleans into strings and back.
fn misfit(expression: &Expression, kind: &Kind) -> Option<String> {
    use Kind::{Bool, List, Map, Number, Object, Set, String as Text};
    match (expression, kind) {
        (Expression::Parenthesis(inner), _) => misfit(inner, kind),
        (Expression::Conditional(it), _) => {
            misfit(&it.true_expr, kind).or_else(|| misfit(&it.false_expr, kind))
        }
        (Expression::String(text), Number) if text.parse::<f64>().is_err() => {
            Some(format!("{text:?}"))
        }
        (Expression::String(text), Bool) if !["true", "false"].contains(&text.as_str()) => {
            Some(format!("{text:?}"))
        }
        (Expression::Bool(value), Number) => Some(value.to_string()),
        (Expression::Number(value), Bool) => Some(value.to_string()),
        (Expression::Array(_), Text | Number | Bool | Map(_) | Object(_)) => {
            Some("a list".to_owned())
        }
        (Expression::Object(_), Text | Number | Bool | List(_) | Set(_)) => {
            Some("a map".to_owned())
        }
        (
            Expression::String(_)
            | Expression::Number(_)
            | Expression::Bool(_)
            | Expression::TemplateExpr(_),
            List(_) | Set(_) | Map(_) | Object(_),
        ) => Some("a single value".to_owned()),
        (Expression::Array(items), List(of) | Set(of)) => {
            items.iter().find_map(|item| misfit(item, of))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn reasons(text: &str) -> Vec<String> {
        let module = Module::parse(Path::new("."), [("queue.tf", text)]);
        mistakes(&module).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelt_argument_is_named_with_its_file_and_resource() {
        assert_eq!(
            reasons(r#"resource "aws_sqs_queue" "events" { visibility_timeout = 360 }"#),
            ["queue.tf: resource aws_sqs_queue.events: there is no argument visibility_timeout"]
        );
    }

    #[test]
    fn a_misspelt_or_misplaced_block_is_named() {
        let lambda = |content: &str| {
            reasons(&format!(
                r#"resource "aws_lambda_function" "f" {{
                     function_name = "f"
                     role          = "r"
                     {content}
                   }}"#
            ))
        };
        for (content, reason) in [
            ("environments { variables = {} }", "there is no block environments"),
            ("environment { variable = {} }", "there is no argument environment.variable"),
            ("environment = { variables = {} }", "environment is a block: write it without `=`"),
            ("tags { a = 1 }", "tags is an argument: write it with `=`"),
            ("environment {}\n environment {}", "there may be only one block environment"),
            (
                "dynamic \"tracing_config\" {\n for_each = []\n content { mod = \"x\" }\n }",
                "there is no argument tracing_config.mod",
            ),
            ("lifecycle { ignore = [] }", "there is no argument lifecycle.ignore"),
        ] {
            let found = lambda(content);
            let expected = format!("queue.tf: resource aws_lambda_function.f: {reason}");
            assert!(found.contains(&expected), "{content}: {found:?}");
        }
        assert_eq!(
            lambda("environment { variables = {} }\n lifecycle { ignore_changes = [tags] }"),
            [""; 0]
        );
    }

    #[test]
    fn a_missing_argument_is_named() {
        assert_eq!(
            reasons(r#"resource "aws_apigatewayv2_stage" "this" { name = "$default" }"#),
            ["queue.tf: resource aws_apigatewayv2_stage.this: api_id is missing"]
        );
        assert_eq!(
            reasons(
                r#"resource "aws_scheduler_schedule" "s" {
                     schedule_expression = "rate(1 minute)"
                     flexible_time_window { mode = "OFF" }
                     target { arn = "a" }
                   }"#
            ),
            ["queue.tf: resource aws_scheduler_schedule.s: target.role_arn is missing"]
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        for (argument, reason) in [
            ("delay_seconds = \"soon\"", "delay_seconds is a number, not \"soon\""),
            ("delay_seconds = true", "delay_seconds is a number, not true"),
            ("fifo_queue = 1", "fifo_queue is a bool, not 1"),
            ("name = [\"a\"]", "name is a string, not a list"),
            ("tags = [\"a\"]", "tags is a map(string), not a list"),
            ("name = var.a ? {} : \"x\"", "name is a string, not a map"),
        ] {
            let found = reasons(&format!("resource \"aws_sqs_queue\" \"q\" {{ {argument} }}"));
            assert_eq!(found, [format!("queue.tf: resource aws_sqs_queue.q: {reason}")]);
        }
        let fine = r#"resource "aws_sqs_queue" "q" {
          delay_seconds = "5"
          fifo_queue    = "false"
          name          = 5
          policy        = jsonencode({})
        }"#;
        assert_eq!(reasons(fine), [""; 0]);
    }

    #[test]
    fn what_only_one_end_of_the_provider_refuses_is_named_with_its_release() {
        let [oldest, newest] = schemas().map(Schema::version);
        assert_eq!(
            reasons(r#"resource "aws_secretsmanager_secret" "s" { type = "a" }"#),
            [format!(
                "queue.tf: resource aws_secretsmanager_secret.s: there is no argument type \
                 (provider {oldest})"
            )]
        );
        let both = r#"resource "aws_cloudwatch_metric_alarm" "a" { alarm_name = "a" }"#;
        let missing = ["comparison_operator", "evaluation_periods"].map(|it| {
            format!(
                "queue.tf: resource aws_cloudwatch_metric_alarm.a: {it} is missing \
                 (provider {oldest})"
            )
        });
        assert_eq!(reasons(both), missing, "{newest} requires neither");
    }

    #[test]
    fn a_resource_that_the_schema_does_not_know_is_named() {
        assert_eq!(
            reasons("resource \"aws_sqs_queues\" \"q\" {}\n data \"aws_nothing\" \"n\" {}"),
            [
                "queue.tf: resource aws_sqs_queues.q: the provider's schema does not know \
                 aws_sqs_queues; if the provider does, add it: make infra-schema",
                "queue.tf: data.aws_nothing.n: the provider's schema does not know aws_nothing; \
                 if the provider does, add it: make infra-schema",
            ]
        );
    }
}
