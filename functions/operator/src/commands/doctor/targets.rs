//! What each route leads to: whether it is there.
//!
//! ```text
//! invoke    GetFunctionConfiguration    and its time limit beside the inbox's
//! enqueue   GetQueueAttributes, GetTopicAttributes
//! publish   DescribeEventBus
//! mirror    DescribeTable
//! forward   its secret alone (`routes.rs`): nobody's endpoint is called
//! ```
//!
//! Each is one call that changes nothing. The operator's policies allow it of what the
//! routes name; of a target that this identity may not see, a bus of another account for
//! one, the permission that it would take is told, and that is no fault.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use inbox_aws::describe;
use inbox_core::stack::stack;
use inbox_processor::config::longest_handler_seconds;
use inbox_processor::routes::Route;

use super::Findings;
use crate::commands::routes::deployed::{self, Environment};
use crate::context::Context;
use crate::fault::Fault;
use crate::moments::counted;

/// What a target is, in words and as its handler names it.
enum Target<'a> {
    Function(&'a str),
    Queue(&'a str),
    Topic(&'a str),
    Bus(&'a str),
    Table(&'a str),
}

/// How a look came out.
enum Seen {
    /// It is there. Of a function, its time limit.
    There(Option<Duration>),
    /// It is there: the mirror's table, with so many rows and bytes. `DynamoDB` counts them
    /// some four times a day.
    Kept {
        rows: u64,
        bytes: u64,
    },
    Gone,
    /// This identity may not look.
    Forbidden,
    /// No answer, or one that says something else.
    Unknown(String),
}

/// The target of a route, where it has one that AWS can be asked about.
fn target_of<'a>(route: &'a Route, environment: &'a Environment) -> Option<Target<'a>> {
    let with = |name: &str| route.with[name].as_str();
    match route.handler_name.as_str() {
        "invoke" => with("function").map(Target::Function),
        "enqueue" => match with("queue_url") {
            Some(url) => Some(Target::Queue(url)),
            None => with("topic_arn").map(Target::Topic),
        },
        "publish" => with("bus").or_else(|| environment.get("EVENT_BUS_NAME")).map(Target::Bus),
        "mirror" => environment.get("MIRROR_TABLE_NAME").map(Target::Table),
        _ => None,
    }
}

pub(super) async fn check(
    context: &Context,
    route: &Route,
    environment: &Environment,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let Some(target) = target_of(route, environment) else { return Ok(()) };
    let about = format!("route {}", route.id);
    let (what, name) = (target.what(), target.name());
    let aws = deployed::aws_for(context, name).await?;
    match target.look(&aws).await {
        Seen::There(None) => findings.ok(about, format!("{what} {name} is there")),
        Seen::There(Some(limit)) => check_time(&about, name, limit, route, environment, findings),
        // No metric of DynamoDB's tells a table's size, so no alarm can: it is told here.
        Seen::Kept { rows, bytes } => {
            let megabytes = bytes.div_ceil(1_000_000);
            let rows = counted(rows, "row");
            findings.ok(
                about,
                format!(
                    "{what} {name} is there; {rows}, {megabytes} MB, none of which ever expires"
                ),
            );
        }
        Seen::Gone => findings.broken(
            about,
            format!("{what} {name} is not there: its events are tried again and then given up"),
            format!(
                "make it, or put its name right in the route; then `inbox replay --state dead \
                 --handler {}`",
                route.id
            ),
        ),
        Seen::Forbidden => {
            let permission = target.permission();
            findings.unknown(about, format!("not looked at: it takes {permission} on {name}"));
        }
        Seen::Unknown(text) => findings.unknown(about, format!("not looked at: {text}")),
    }
    Ok(())
}

/// A function that may take longer than the inbox waits is called again while it runs.
fn check_time(
    about: &str,
    name: &str,
    limit: Duration,
    route: &Route,
    environment: &Environment,
    findings: &mut Findings,
) {
    let waits = environment.get("HANDLER_TIMEOUT_SECONDS").and_then(|text| text.parse().ok());
    let waits = waits.unwrap_or(stack().defaults.handler_timeout_seconds).into();
    // What the route says for itself is never more.
    let waits = route.timeout.map_or(waits, |own| own.as_secs().min(waits));
    let (limit, most) = (limit.as_secs(), longest_handler_seconds());
    if limit <= waits {
        let says = format!(
            "function {name} is there; it may run for {limit} s, and {waits} s are waited for"
        );
        findings.ok(about, says);
        return;
    }
    findings.warn(
        about,
        format!(
            "function {name} may run for {limit} s, and `invoke` waits {waits} s for its reply: a \
             run that takes longer counts as failed, and the function is called again beside it"
        ),
        format!(
            "give the function a time limit of {waits} s or less, or the inbox more \
             (`handler_timeout_seconds`, at most {most}); work that takes longer belongs behind a \
             queue: `enqueue`, and the function reads that"
        ),
    );
}

impl Target<'_> {
    fn what(&self) -> &'static str {
        match self {
            Self::Function(_) => "function",
            Self::Queue(_) => "queue",
            Self::Topic(_) => "topic",
            Self::Bus(_) => "bus",
            Self::Table(_) => "table",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Function(name)
            | Self::Queue(name)
            | Self::Topic(name)
            | Self::Bus(name)
            | Self::Table(name) => name,
        }
    }

    fn permission(&self) -> &'static str {
        match self {
            Self::Function(_) => "lambda:GetFunctionConfiguration",
            Self::Queue(_) => "sqs:GetQueueAttributes",
            Self::Topic(_) => "sns:GetTopicAttributes",
            Self::Bus(_) => "events:DescribeEventBus",
            Self::Table(_) => "dynamodb:DescribeTable",
        }
    }

    async fn look(&self, aws: &SdkConfig) -> Seen {
        match self {
            Self::Function(name) => {
                let client = aws_sdk_lambda::Client::new(aws);
                let asked = client.get_function_configuration().function_name(*name).send().await;
                match asked {
                    Ok(held) => {
                        let seconds =
                            held.timeout().and_then(|seconds| u64::try_from(seconds).ok());
                        Seen::There(seconds.map(Duration::from_secs))
                    }
                    Err(error) => seen("GetFunctionConfiguration", &error),
                }
            }
            Self::Queue(url) => {
                let client = aws_sdk_sqs::Client::new(aws);
                let name = aws_sdk_sqs::types::QueueAttributeName::QueueArn;
                let asked = client.get_queue_attributes().queue_url(*url).attribute_names(name);
                there("GetQueueAttributes", asked.send().await)
            }
            Self::Topic(arn) => {
                let client = aws_sdk_sns::Client::new(aws);
                there(
                    "GetTopicAttributes",
                    client.get_topic_attributes().topic_arn(*arn).send().await,
                )
            }
            Self::Bus(name) => {
                let client = aws_sdk_eventbridge::Client::new(aws);
                there("DescribeEventBus", client.describe_event_bus().name(*name).send().await)
            }
            Self::Table(name) => {
                let client = aws_sdk_dynamodb::Client::new(aws);
                let asked = client.describe_table().table_name(*name).send().await;
                let count = |number: Option<i64>| number.and_then(|it| u64::try_from(it).ok());
                match asked {
                    Ok(answer) => {
                        let table = answer.table.as_ref();
                        Seen::Kept {
                            rows: count(table.and_then(|it| it.item_count)).unwrap_or(0),
                            bytes: count(table.and_then(|it| it.table_size_bytes)).unwrap_or(0),
                        }
                    }
                    Err(error) => seen("DescribeTable", &error),
                }
            }
        }
    }
}

fn there<T, E: ProvideErrorMetadata>(operation: &str, asked: Result<T, SdkError<E>>) -> Seen {
    match asked {
        Ok(_) => Seen::There(None),
        Err(error) => seen(operation, &error),
    }
}

/// By the code, which each service spells its own way.
fn seen<E: ProvideErrorMetadata>(operation: &str, error: &SdkError<E>) -> Seen {
    let code = error.code().unwrap_or_default();
    let has = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    if has(&["NotFound", "NonExistentQueue", "QueueDoesNotExist"]) {
        Seen::Gone
    } else if has(&["AccessDenied", "AuthorizationError", "UnauthorizedOperation"]) {
        Seen::Forbidden
    } else {
        Seen::Unknown(describe(operation, error))
    }
}
