//! What the provider answers: schemas, and plans in which everything that AWS would fill
//! in is unknown. An apply fills it in with something of the right type; data sources
//! give one account, one region and policy documents as the real provider writes them.
//!
//! Messages are those of Terraform's plugin protocol, version 6:
//! <https://github.com/hashicorp/terraform/blob/v1.11.4/docs/plugin-protocol/tfplugin6.8.proto>

use super::msgpack::Value;
use super::policy_document;
use super::protobuf::{Message, field};
use crate::schema::{Content, Kind, Nesting, Resource, Schema};

/// The account, region and partition that the data sources give.
pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const PARTITION: &str = "aws";

/// One release of the provider, without AWS behind it.
pub(crate) struct Provider {
    schema: &'static Schema,
    /// The answer to `GetProviderSchema`, which every Terraform asks for first.
    schemas: Vec<u8>,
}

impl Provider {
    pub(crate) fn new(schema: &'static Schema) -> Self {
        let mut schemas = Message::default().message(1, schema_message(&schema.provider));
        for (name, resource) in &schema.resource_schemas {
            schemas = schemas.message(2, entry(name, resource));
        }
        for (name, resource) in &schema.data_source_schemas {
            schemas = schemas.message(3, entry(name, resource));
        }
        Self { schema, schemas: schemas.finish() }
    }

    /// The answer to one request; none where the method is none of ours.
    pub(crate) fn answer(&self, method: &str, request: &[u8]) -> Option<Vec<u8>> {
        let answer = match method.strip_prefix("/tfplugin6.Provider/")? {
            "GetProviderSchema" => return Some(self.schemas.clone()),
            "ValidateProviderConfig"
            | "ConfigureProvider"
            | "ValidateResourceConfig"
            | "ValidateDataResourceConfig"
            | "StopProvider" => Message::default(),
            "UpgradeResourceState" => {
                let json = field(field(request, 3), 1);
                Message::default().message(1, Message::default().bytes(2, json))
            }
            "ReadResource" => Message::default().message(1, dynamic(&given(request, 2))),
            "PlanResourceChange" => self.plan(request),
            "ApplyResourceChange" => self.apply(request),
            "ReadDataSource" => self.read(request),
            _ => return None,
        };
        Some(answer.finish())
    }

    fn plan(&self, request: &[u8]) -> Message {
        let mut proposed = given(request, 3);
        if given(request, 2) == Value::Null {
            fill(&mut proposed, self.content(request, false), &|_| Value::unknown());
        }
        // As the real provider has it: a plan may differ from the configuration.
        Message::default().message(1, dynamic(&proposed)).number(5, 1)
    }

    fn apply(&self, request: &[u8]) -> Message {
        let kind = text(request, 1);
        let mut planned = given(request, 3);
        let names = ["name", "function_name", "bucket"].map(|it| planned.member(it).text());
        let name = names.into_iter().find(|it| !it.is_empty()).unwrap_or("it").to_owned();
        known(&mut planned, self.content(request, false), &Named { kind, name: &name });
        Message::default().message(1, dynamic(&planned)).number(4, 1)
    }

    fn read(&self, request: &[u8]) -> Message {
        let kind = text(request, 1);
        let mut state = given(request, 2);
        let document = policy_document::json(&state);
        let minified = document.to_string();
        let pretty = format!("{document:#}");
        fill(&mut state, self.content(request, true), &|name| {
            Value::Text(match (kind, name) {
                ("aws_caller_identity", "account_id" | "id") => ACCOUNT.to_owned(),
                ("aws_region", "region" | "name" | "id") => REGION.to_owned(),
                ("aws_partition", "partition" | "id") => PARTITION.to_owned(),
                ("aws_partition", "dns_suffix") => "amazonaws.com".to_owned(),
                ("aws_iam_policy_document", "json") => pretty.clone(),
                ("aws_iam_policy_document", "minified_json") => minified.clone(),
                _ => format!("{kind}.{name}"),
            })
        });
        Message::default().message(1, dynamic(&state))
    }

    fn content(&self, request: &[u8], is_data: bool) -> &'static Content {
        let kind = text(request, 1);
        &self.schema.find(is_data, kind).unwrap_or_else(|| panic!("no schema of {kind}")).block
    }
}

fn text(request: &[u8], number: u32) -> &str {
    std::str::from_utf8(field(request, number)).expect("a text")
}

/// A `DynamicValue`, which Terraform sends as `MessagePack`.
fn given(request: &[u8], number: u32) -> Value {
    Value::decode(field(field(request, number), 1))
}

fn dynamic(value: &Value) -> Message {
    Message::default().bytes(1, value.encode())
}

/// Gives a value to what the provider computes and nobody gave.
fn fill(value: &mut Value, content: &Content, computed: &dyn Fn(&str) -> Value) {
    let Value::Map(members) = value else { return };
    for (name, attribute) in &content.attributes {
        if let Some(member @ Value::Null) = members.get_mut(name)
            && attribute.computed
        {
            *member = computed(name);
        }
    }
    for (name, nested) in &content.block_types {
        match members.get_mut(name) {
            Some(Value::List(blocks)) => {
                for block in blocks.iter_mut() {
                    fill(block, &nested.block, computed);
                }
            }
            Some(block) => fill(block, &nested.block, computed),
            None => {}
        }
    }
}

/// A resource that an apply makes.
struct Named<'a> {
    kind: &'a str,
    name: &'a str,
}

impl Named<'_> {
    /// Of the form that AWS gives it, since the module checks what it is handed.
    fn text(&self, attribute: &str) -> String {
        let Self { kind, name } = self;
        let here = |service: &str, rest: &str| {
            format!("arn:{PARTITION}:{service}:{REGION}:{ACCOUNT}:{rest}{name}")
        };
        match (*kind, attribute) {
            ("aws_cloudwatch_event_bus", "arn") => here("events", "event-bus/"),
            ("aws_kms_key", "arn") => here("kms", "key/"),
            ("aws_lambda_function", "arn") => here("lambda", "function:"),
            ("aws_secretsmanager_secret", "arn") => here("secretsmanager", "secret:") + "-AbCdEf",
            ("aws_sns_topic", "arn") => here("sns", ""),
            ("aws_sqs_queue", "arn") => here("sqs", ""),
            ("aws_sqs_queue", "url" | "id") => {
                format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}")
            }
            (kind, attribute) if attribute.ends_with("arn") => here("test", &format!("{kind}/")),
            (kind, attribute) => format!("{kind}/{name}/{attribute}"),
        }
    }
}

/// Replaces what is unknown by something of its type.
fn known(value: &mut Value, content: &Content, named: &Named<'_>) {
    let Value::Map(members) = value else { return };
    for (name, attribute) in &content.attributes {
        let Some(member) = members.get_mut(name) else { continue };
        if matches!(member, Value::Unknown(_)) {
            *member = sample(&attribute.kind, name, named);
        }
    }
    for (name, nested) in &content.block_types {
        match members.get_mut(name) {
            Some(Value::List(blocks)) => {
                for block in blocks.iter_mut() {
                    known(block, &nested.block, named);
                }
            }
            Some(block) => known(block, &nested.block, named),
            None => {}
        }
    }
}

fn sample(kind: &Kind, name: &str, named: &Named<'_>) -> Value {
    match kind {
        Kind::String | Kind::Dynamic => Value::Text(named.text(name)),
        Kind::Number => Value::zero(),
        Kind::Bool => Value::Bool(false),
        Kind::List(_) | Kind::Set(_) => Value::List(vec![]),
        Kind::Map(_) => Value::Map([].into()),
        Kind::Object(of) => Value::Map(
            of.iter().map(|(name, kind)| (name.clone(), sample(kind, name, named))).collect(),
        ),
    }
}

fn entry(name: &str, resource: &Resource) -> Message {
    Message::default().bytes(1, name).message(2, schema_message(resource))
}

fn schema_message(resource: &Resource) -> Message {
    Message::default().message(2, block(&resource.block))
}

fn block(content: &Content) -> Message {
    let mut message = Message::default();
    for (name, it) in &content.attributes {
        let attribute = Message::default()
            .bytes(1, name)
            .bytes(2, it.kind.json().to_string())
            .number(4, it.required.into())
            .number(5, it.optional.into())
            .number(6, it.computed.into());
        message = message.message(2, attribute);
    }
    for (name, it) in &content.block_types {
        let nesting = match it.nesting_mode {
            Nesting::Single => 1,
            Nesting::List => 2,
            Nesting::Set => 3,
        };
        let nested = Message::default()
            .bytes(1, name)
            .message(2, block(&it.block))
            .number(3, nesting)
            .number(4, it.min_items.into())
            .number(5, it.max_items.unwrap_or(0).into());
        message = message.message(3, nested);
    }
    message
}
