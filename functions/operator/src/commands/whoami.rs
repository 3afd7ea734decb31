//! `inbox whoami`: as whom this machine speaks to AWS, and where.
//!
//! `make plan` and its like ask it before Terraform is started, in words that say what to
//! do. It needs no permission, and no AWS CLI.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use aws_sdk_sts::Client;
use inbox_aws::describe;
use serde_json::json;

use crate::context::Context;
use crate::fault::{Fault, Outcome};

const EXAMPLES: &str = "\
Examples:
  inbox whoami
  inbox whoami --profile prod --region eu-central-1 --json";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

pub(super) async fn run(context: &Context, _args: Args) -> Result<Outcome, Fault> {
    let aws = context.aws().await?;
    let answer = Client::new(aws).get_caller_identity().send().await;
    let identity =
        answer.map_err(|error| Fault::unavailable(describe("GetCallerIdentity", &error)))?;
    let region = aws.region().map_or("", AsRef::as_ref);
    let (arn, account) = (identity.arn().unwrap_or("?"), identity.account().unwrap_or("?"));
    if context.console.json {
        context.console.value(&json!({"arn": arn, "account": account, "region": region}));
    } else {
        context.console.line(format!("{arn}, account {account}, region {region}"));
    }
    Ok(Outcome::Done)
}
