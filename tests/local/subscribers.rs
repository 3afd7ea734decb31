//! The example subscribers of `infra/modules/inbox/examples`, made on a local stack as
//! their Terraform makes them in the cloud, each under the role that it makes.
//!
//! ```text
//! publish ─▶ bus ─ pattern.json ─▶ subscriber.py ─▶ a table      `Payments`
//! invoke  ─▶ handler.ts ─▶ a CRM                                 `CrmFunction`
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_eventbridge::types::Target;
use serde_json::json;

use crate::functions::{ControlPlane, Script};
use crate::iam::Iam;
use crate::{LocalError, StackDescription, paths, permissions, resources};

const TIMEOUT_SECONDS: u32 = 20;

/// What `publish-python` keeps, and the function that keeps it.
#[derive(Debug)]
pub struct Payments {
    /// The function's name, and the table's.
    pub name: String,
    dynamodb: aws_sdk_dynamodb::Client,
}

impl Payments {
    /// Makes table, function, rule and target on a stack's bus.
    pub async fn subscribe(stack: &StackDescription, name: &str) -> Result<Self, LocalError> {
        let aws = resources::sdk_config(&stack.endpoint_url);
        let dynamodb = create_table(&aws, name).await?;
        let folder = example("publish-python");
        let role = permissions::of_example(
            "publish-python",
            &json!({
                "name": name,
                "event_bus_name": stack.event_bus,
                "payload_bucket_arn": format!("arn:aws:s3:::{}", stack.payload_bucket),
            }),
        )?;
        Iam::new(&stack.endpoint_url).create_role(&role).await?;
        let script = Script {
            name: name.to_owned(),
            role: role.name,
            runtime: "python3.12",
            handler: "subscriber.handler",
            files: vec![("subscriber.py".to_owned(), read(&folder.join("subscriber.py"))?)],
            environment: BTreeMap::from([("TABLE_NAME".to_owned(), name.to_owned())]),
            timeout_seconds: TIMEOUT_SECONDS,
        };
        let arn = ControlPlane::new(&stack.endpoint_url).create_script(&script).await?;
        let pattern = String::from_utf8_lossy(&read(&folder.join("pattern.json"))?).into_owned();
        let events = aws_sdk_eventbridge::Client::new(&aws);
        let rule = events.put_rule().name(name).event_bus_name(&stack.event_bus);
        let rule = rule.event_pattern(pattern).send().await;
        rule.map_err(LocalError::call(format!("create rule {name}")))?;
        let target = Target::builder().id("subscriber").arn(arn).build();
        let target = target.map_err(LocalError::call("define a target"))?;
        let targets = events.put_targets().rule(name).event_bus_name(&stack.event_bus);
        let targets = targets.targets(target).send().await;
        targets.map_err(LocalError::call(format!("create the target of rule {name}")))?;
        Ok(Self { name: name.to_owned(), dynamodb })
    }

    /// Amounts by `source#id` of the event.
    pub async fn kept(&self) -> Result<BTreeMap<String, String>, LocalError> {
        let scanned = self.dynamodb.scan().table_name(&self.name).consistent_read(true).send();
        let scanned = scanned.await.map_err(LocalError::call("read what was kept"))?;
        let all = scanned.items().iter().filter_map(|item| {
            let amount = item.get("amount")?.as_n().ok()?;
            let currency = item.get("currency")?.as_s().ok()?;
            Some((item.get("event")?.as_s().ok()?.clone(), format!("{amount} {currency}")))
        });
        Ok(all.collect())
    }
}

async fn create_table(aws: &SdkConfig, name: &str) -> Result<aws_sdk_dynamodb::Client, LocalError> {
    let what = format!("create table {name}");
    let attribute = AttributeDefinition::builder().attribute_name("event");
    let attribute = attribute.attribute_type(ScalarAttributeType::S).build();
    let key = KeySchemaElement::builder().attribute_name("event").key_type(KeyType::Hash).build();
    let dynamodb = aws_sdk_dynamodb::Client::new(aws);
    let created = dynamodb
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute.map_err(LocalError::call(&what))?)
        .key_schema(key.map_err(LocalError::call(&what))?)
        .send()
        .await;
    created.map_err(LocalError::call(what))?;
    Ok(dynamodb)
}

/// What is invoked to tell a CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrmFunction {
    /// `invoke-typescript`, as `make examples` left it.
    TypeScript,
    /// The same in Python, for a machine without node: enough for a demonstration.
    StandIn,
}

impl CrmFunction {
    /// The real one where this machine can run it.
    #[must_use]
    pub fn find() -> Self {
        let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
        let can_run = node.is_ok_and(|status| status.success()) && crm_bundle().exists();
        if can_run { Self::TypeScript } else { Self::StandIn }
    }

    /// Makes the function, which tells of payments to `crm_url`, and returns its ARN.
    pub async fn create(
        self,
        endpoint_url: &str,
        name: &str,
        crm_url: &str,
    ) -> Result<String, LocalError> {
        let (runtime, file, code) = match self {
            Self::TypeScript => ("nodejs20.x", "index.js", read(&crm_bundle())?),
            Self::StandIn => ("python3.12", "index.py", STAND_IN.into()),
        };
        let role = permissions::of_example("invoke-typescript", &json!({ "name": name }))?;
        Iam::new(endpoint_url).create_role(&role).await?;
        let script = Script {
            name: name.to_owned(),
            role: role.name,
            runtime,
            handler: "index.handler",
            files: vec![(file.to_owned(), code)],
            environment: BTreeMap::from([("CRM_URL".to_owned(), crm_url.to_owned())]),
            timeout_seconds: TIMEOUT_SECONDS,
        };
        ControlPlane::new(endpoint_url).create_script(&script).await
    }
}

const STAND_IN: &str = r##"import json, os, urllib.request

def handler(event, context):
    payment = event["data"]["data"]["object"]
    told = {"payment": payment["id"], "customer": payment["customer"],
            "amount": payment["amount"], "currency": payment["currency"]}
    headers = {"content-type": "application/json",
               "idempotency-key": event["source"] + "#" + event["id"]}
    request = urllib.request.Request(os.environ["CRM_URL"], json.dumps(told).encode(), headers)
    urllib.request.urlopen(request, timeout=5).close()
"##;

/// What `make examples` makes of the TypeScript.
fn crm_bundle() -> PathBuf {
    paths::local_directory().join("examples/invoke-typescript/dist/index.js")
}

fn example(name: &str) -> PathBuf {
    paths::workspace_root().join("infra/modules/inbox/examples").join(name)
}

fn read(path: &Path) -> Result<Vec<u8>, LocalError> {
    std::fs::read(path).map_err(|_| LocalError::ExampleMissing { path: path.to_path_buf() })
}
