//! What AWS fills into a plan, where it follows from names: accounts, regions, ARNs.
//!
//! A plan says `<aws_sqs_queue.events.arn>`; in a given account and region that is
//! `arn:aws:sqs:us-east-1:000000000000:webhook-inbox-events`.

use std::collections::BTreeMap;

use crate::plan::{Instance, Plan};

/// Where a plan is carried out.
#[derive(Clone, Debug)]
pub struct Place {
    /// Twelve digits.
    pub account_id: String,
    /// `us-east-1`
    pub region: String,
    /// By address and attribute, `aws_sqs_queue.events.arn`: what is known better than
    /// by name, such as the ARN of a secret, which ends in six random characters.
    pub known: BTreeMap<String, String>,
}

/// What stands for a secret's six random characters.
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples.html>
const ANY_SUFFIX: &str = "-??????";

impl Place {
    /// A text with everything filled in.
    ///
    /// # Errors
    ///
    /// It refers to what does not follow from names.
    pub fn filled(&self, plan: &Plan, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            let (reference, after) =
                after.split_once('>').ok_or_else(|| format!("{text}: no end of a reference"))?;
            out.push_str(before);
            out.push_str(&self.value(plan, reference)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// `aws_sqs_queue.events.arn`, without the angle brackets.
    fn value(&self, plan: &Plan, reference: &str) -> Result<String, String> {
        if let Some(known) = self.known.get(reference) {
            return Ok(known.clone());
        }
        let unknown = || format!("<{reference}> does not follow from names");
        let instance = plan.referred(&format!("<{reference}>")).ok_or_else(unknown)?;
        let (_, attribute) = reference.rsplit_once('.').ok_or_else(unknown)?;
        let found = match (instance.kind.as_str(), attribute) {
            ("aws_caller_identity", "account_id") => Some(self.account_id.clone()),
            ("aws_partition", "partition") => Some("aws".to_owned()),
            ("aws_partition", "dns_suffix") => Some("amazonaws.com".to_owned()),
            ("aws_region", "region" | "name" | "id") => Some(self.region.clone()),
            (_, "arn") => self.arn(plan, instance)?,
            (_, "name" | "id" | "bucket" | "function_name") => Some(self.name(plan, instance)?),
            _ => None,
        };
        found.ok_or_else(unknown)
    }

    /// What an instance is called.
    ///
    /// # Errors
    ///
    /// It has no name, or one that refers to what does not follow from names.
    pub fn name(&self, plan: &Plan, instance: &Instance) -> Result<String, String> {
        let given = ["name", "function_name", "bucket"].map(|it| instance.text(it));
        let name = given.into_iter().find(|it| !it.is_empty());
        let name = name.ok_or_else(|| format!("{} has no name", instance.address()))?;
        self.filled(plan, name)
    }

    fn arn(&self, plan: &Plan, instance: &Instance) -> Result<Option<String>, String> {
        let name = || self.name(plan, instance);
        let Self { account_id, region, .. } = self;
        let here = |service: &str, resource: &str| {
            format!("arn:aws:{service}:{region}:{account_id}:{resource}")
        };
        Ok(Some(match instance.kind.as_str() {
            "aws_cloudwatch_event_bus" => here("events", &format!("event-bus/{}", name()?)),
            "aws_cloudwatch_event_rule" => here("events", &format!("rule/{}", name()?)),
            "aws_cloudwatch_log_group" => here("logs", &format!("log-group:{}", name()?)),
            "aws_dynamodb_table" => here("dynamodb", &format!("table/{}", name()?)),
            "aws_iam_policy" => format!("arn:aws:iam::{account_id}:policy/{}", name()?),
            "aws_iam_role" => format!("arn:aws:iam::{account_id}:role/{}", name()?),
            "aws_lambda_alias" => {
                let function = self.filled(plan, instance.text("function_name"))?;
                here("lambda", &format!("function:{function}:{}", name()?))
            }
            "aws_lambda_function" => here("lambda", &format!("function:{}", name()?)),
            "aws_s3_bucket" => format!("arn:aws:s3:::{}", name()?),
            "aws_scheduler_schedule_group" => {
                here("scheduler", &format!("schedule-group/{}", name()?))
            }
            "aws_secretsmanager_secret" => {
                here("secretsmanager", &format!("secret:{}{ANY_SUFFIX}", name()?))
            }
            "aws_sns_topic" => here("sns", &name()?),
            "aws_sqs_queue" => here("sqs", &name()?),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::module::Module;
    use crate::plan::plan;

    #[test]
    fn what_follows_from_names_is_filled_in_and_nothing_else() {
        let text = r#"
            data "aws_region" "this" {}
            data "aws_caller_identity" "this" {}
            resource "aws_s3_bucket" "b" {
              bucket = "b-${data.aws_caller_identity.this.account_id}-${data.aws_region.this.region}"
            }
            resource "aws_sqs_queue" "q" {
              for_each = { one = 1 }
              name     = "q-${each.key}"
            }
            resource "aws_secretsmanager_secret" "s" { name = "x/y" }
            resource "aws_lambda_function" "f" { function_name = "f-worker" }
            resource "aws_lambda_alias" "live" {
              name          = "live"
              function_name = aws_lambda_function.f.function_name
            }
            resource "aws_kms_key" "k" {}"#;
        let plan = plan(&Module::parse(Path::new("."), [("main.tf", text)]), &hcl::Map::new());
        let mut place = Place {
            account_id: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            known: BTreeMap::new(),
        };
        for (text, expected) in [
            ("<aws_s3_bucket.b.arn>/a/*", "arn:aws:s3:::b-123456789012-eu-west-1/a/*"),
            ("<aws_sqs_queue.q[\"one\"].arn>", "arn:aws:sqs:eu-west-1:123456789012:q-one"),
            (
                "<aws_secretsmanager_secret.s.arn>",
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x/y-??????",
            ),
            (
                "<aws_lambda_alias.live.arn>",
                "arn:aws:lambda:eu-west-1:123456789012:function:f-worker:live",
            ),
            ("plain", "plain"),
        ] {
            assert_eq!(place.filled(&plan, text).as_deref(), Ok(expected));
        }
        let key = "<aws_kms_key.k.arn>";
        assert_eq!(
            place.filled(&plan, key),
            Err("<aws_kms_key.k.arn> does not follow from names".to_owned())
        );
        place.known.insert("aws_kms_key.k.arn".to_owned(), "arn:known".to_owned());
        assert_eq!(place.filled(&plan, key).as_deref(), Ok("arn:known"));
    }
}
