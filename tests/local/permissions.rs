//! Who may do what in a local stack: what `infra/` says of an inbox with these sources
//! and routes, and nothing else.
//!
//! ```text
//! modules/inbox/*.tf ── evaluator ──▶ roles, policies ── names filled in ──▶ `iam`
//! ```
//!
//! The module is evaluated here, so that nobody needs Terraform for it, and so that a
//! call which it does not allow fails on this machine as it would on AWS.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use inbox_evaluator::arns::Place;
use inbox_evaluator::module::Module;
use inbox_evaluator::plan::{self, Instance, Plan};
use inbox_evaluator::policies;
use serde_json::{Map, Value, json};

use crate::emulator::{ACCOUNT_ID, REGION};
use crate::{LocalError, paths};

/// Stands for the inbox's name in plans, which take their time: one serves for every
/// name.
const ANY_NAME: &str = "name-of-the-inbox";

/// What the permissions of an inbox depend on.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// The prefix of everything that it is made of; the module's variable `name`.
    pub name: String,
    /// The sources by name.
    pub sources: BTreeMap<String, Source>,
    /// The processor's routes; none are as good as an empty list.
    pub routes: Value,
}

/// One source.
#[derive(Clone, Debug)]
pub struct Source {
    /// The provider that verifies it.
    pub provider: String,
    /// The ARN of its secret; without it, any secret of the name that the module gives.
    pub secret_arn: Option<String>,
}

/// Roles and policies, with every name filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permissions {
    /// Of the functions, by what they are: `receiver-stripe`, `processor`, `sweeper`.
    pub roles: BTreeMap<String, Role>,
    /// What is attached to the people who operate the inbox.
    pub operator: Vec<Policy>,
    /// Policies of queues, by the queue's name.
    pub queues: BTreeMap<String, Value>,
    /// Who may redrive to a queue, by the queue's name.
    pub redrives: BTreeMap<String, Value>,
    /// Policies of buckets, by the bucket's name.
    pub buckets: BTreeMap<String, Value>,
}

/// A function's role.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Who may assume it.
    pub trust: Value,
    /// Its own policies.
    pub policies: Vec<Policy>,
}

/// A policy with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// As IAM reads it.
    pub document: Value,
}

impl Permissions {
    /// Those of the module for this inbox.
    ///
    /// A route that the module cannot read gives no permission: the processor refuses
    /// it, too.
    pub fn of(inbox: &Inbox) -> Result<Self, LocalError> {
        let planned = planned(inbox);
        let refused = |reason: String| LocalError::Call {
            what: format!("read the permissions of {} from infra/modules/inbox", inbox.name),
            reason,
        };
        Reading { plan: &planned, place: place(&planned, inbox), name: &inbox.name }
            .all()
            .map_err(refused)
    }

    /// The role of a function.
    pub fn role(&self, function: &str) -> Result<&Role, LocalError> {
        self.roles.get(function).ok_or_else(|| LocalError::Call {
            what: format!("find the role of {function}"),
            reason: format!("the module makes {:?}", self.roles.keys().collect::<Vec<_>>()),
        })
    }
}

/// The role of an example's only function, with these values of its variables.
pub fn of_example(example: &str, given: &Value) -> Result<Role, LocalError> {
    let folder = paths::workspace_root().join("infra/modules/inbox/examples").join(example);
    let planned = plan::plan(&Module::read(&folder), &plan::given(given));
    let nothing = BTreeMap::new();
    let place =
        Place { account_id: ACCOUNT_ID.to_owned(), region: REGION.to_owned(), known: nothing };
    let reading = Reading { plan: &planned, place, name: ANY_NAME };
    let function = planned.all("aws_lambda_function").next();
    let role = function.ok_or_else(|| "it makes no function".to_owned());
    role.and_then(|it| reading.role(it)).map_err(|reason| LocalError::Call {
        what: format!("read the permissions of the example {example}"),
        reason,
    })
}

/// One plan and what fills it in.
struct Reading<'a> {
    plan: &'a Plan,
    place: Place,
    name: &'a str,
}

impl Reading<'_> {
    fn all(&self) -> Result<Permissions, String> {
        let mut found = Permissions::default();
        for (binary, function) in self.plan.functions() {
            let key = function.key.trim_matches(['[', ']', '"']);
            let label = [binary, key].join("-").trim_end_matches('-').to_owned();
            found.roles.insert(label, self.role(function)?);
        }
        for policy in self.plan.all("aws_iam_policy") {
            found.operator.push(Policy {
                name: self.named(policy.text("name"))?,
                document: self.document(policy.text("policy"))?,
            });
        }
        for policy in self.plan.all("aws_sqs_queue_policy") {
            let queue = self.target(policy, "queue_url")?;
            found.queues.insert(queue, self.document(policy.text("policy"))?);
        }
        for policy in self.plan.all("aws_sqs_queue_redrive_allow_policy") {
            let queue = self.target(policy, "queue_url")?;
            let text = self.named(policy.text("redrive_allow_policy"))?;
            let document = serde_json::from_str(&text).map_err(|it| it.to_string())?;
            found.redrives.insert(queue, document);
        }
        for policy in self.plan.all("aws_s3_bucket_policy") {
            let bucket = self.target(policy, "bucket")?;
            found.buckets.insert(bucket, self.document(policy.text("policy"))?);
        }
        Ok(found)
    }

    fn role(&self, function: &Instance) -> Result<Role, String> {
        let role = self
            .plan
            .referred(function.text("role"))
            .ok_or_else(|| format!("{} has no role of the module", function.address()))?;
        let name = role.text("name");
        let names = [role.reference("name"), role.reference("id"), name.to_owned()];
        let own = self.plan.all("aws_iam_role_policy");
        let own = own.filter(|it| names.iter().any(|name| name == it.text("role")));
        let policies = own.map(|it| {
            let document = self.document(it.text("policy"))?;
            Ok(Policy { name: self.named(it.text("name"))?, document })
        });
        Ok(Role {
            name: self.named(name)?,
            trust: self.document(role.text("assume_role_policy"))?,
            policies: policies.collect::<Result<_, String>>()?,
        })
    }

    /// The name of the queue or bucket that a policy is for.
    fn target(&self, policy: &Instance, argument: &str) -> Result<String, String> {
        let target = self
            .plan
            .referred(policy.text(argument))
            .ok_or_else(|| format!("{} is for nothing of the module", policy.address()))?;
        Ok(self.place.name(self.plan, target)?.replace(ANY_NAME, self.name))
    }

    fn named(&self, text: &str) -> Result<String, String> {
        Ok(self.place.filled(self.plan, text)?.replace(ANY_NAME, self.name))
    }

    fn document(&self, argument: &str) -> Result<Value, String> {
        let document = policies::document(self.plan, &self.place, argument)?;
        let text = document.to_string().replace(ANY_NAME, self.name);
        serde_json::from_str(&text).map_err(|it| it.to_string())
    }
}

fn place(plan: &Plan, inbox: &Inbox) -> Place {
    let known = plan.all("aws_secretsmanager_secret").filter_map(|secret| {
        let source = inbox.sources.get(secret.key.trim_matches(['[', ']', '"']))?;
        let arn = source.secret_arn.clone().filter(|_| secret.name == "source")?;
        Some((format!("{}.arn", secret.address()), arn))
    });
    Place { account_id: ACCOUNT_ID.to_owned(), region: REGION.to_owned(), known: known.collect() }
}

/// What the module would make, from what was planned before where nothing has changed.
fn planned(inbox: &Inbox) -> Arc<Plan> {
    static MODULE: LazyLock<Module> =
        LazyLock::new(|| Module::read(&paths::workspace_root().join("infra/modules/inbox")));
    static PLANNED: Mutex<BTreeMap<String, Arc<Plan>>> = Mutex::new(BTreeMap::new());
    let sources = inbox.sources.iter();
    let sources = sources.map(|(name, it)| (name.clone(), json!({ "provider": it.provider })));
    let given = json!({
        "name": ANY_NAME,
        "sources": sources.collect::<Map<_, _>>(),
        "processor": { "routes": routes(&inbox.routes) },
    });
    let mut all = PLANNED.lock().unwrap_or_else(PoisonError::into_inner);
    let plan = all.entry(given.to_string());
    Arc::clone(plan.or_insert_with(|| Arc::new(plan::plan(&MODULE, &plan::given(&given)))))
}

/// Routes as the module reads them: where a queue of the emulator is named by its
/// address, by the one that it would have on AWS.
fn routes(given: &Value) -> Vec<Value> {
    let all = given.as_array().into_iter().flatten();
    let readable = all.filter(|it| it["id"].is_string() && it["handler"].is_string());
    let mut routes: Vec<Value> = readable.cloned().collect();
    for route in &mut routes {
        let url = route["with"]["queue_url"].as_str().and_then(|it| it.strip_prefix("http://"));
        if let Some((_, path)) = url.and_then(|it| it.split_once('/')) {
            route["with"]["queue_url"] =
                format!("https://sqs.{REGION}.amazonaws.com/{path}").into();
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> Inbox {
        let source = |provider: &str| Source { provider: provider.to_owned(), secret_arn: None };
        let mut sources = BTreeMap::from([
            ("stripe".to_owned(), source("stripe")),
            ("git".to_owned(), source("github")),
        ]);
        sources.entry("git".to_owned()).and_modify(|it| it.secret_arn = Some("arn:own".to_owned()));
        let routes = json!([
            { "id": "mirror", "match": "*:*", "handler": "mirror" },
            { "id": "queue", "match": "*:*", "handler": "enqueue",
              "with": { "queue_url": "http://127.0.0.1:4566/000000000000/work" } },
            { "id": "mine", "match": "*:*", "handler": "forward", "with": { "url": "https://a" } },
        ]);
        Inbox { name: "hooks".to_owned(), sources, routes }
    }

    fn allowed(role: &Role, action: &str) -> Vec<Value> {
        let statements = role.policies.iter().filter_map(|it| it.document["Statement"].as_array());
        let granting = statements.flatten().filter(|it| {
            it["Action"].as_array().is_some_and(|actions| actions.iter().any(|it| it == action))
        });
        granting.map(|it| it["Resource"].clone()).collect()
    }

    #[test]
    fn each_function_has_the_role_that_the_module_makes_for_it() {
        let found = Permissions::of(&inbox()).expect("the module can be read");
        let names: Vec<_> =
            found.roles.iter().map(|(of, role)| (of.as_str(), role.name.as_str())).collect();
        assert_eq!(
            names,
            [
                ("processor", "hooks-processor"),
                ("receiver-git", "hooks-receiver-git"),
                ("receiver-stripe", "hooks-receiver-stripe"),
                ("sweeper", "hooks-sweeper"),
            ]
        );
        assert_eq!(
            found.roles["sweeper"].trust["Statement"][0]["Principal"],
            json!({ "Service": ["lambda.amazonaws.com"] })
        );
        let operator: Vec<&str> = found.operator.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(operator, ["hooks-operator", "hooks-source-operator"]);
    }

    #[test]
    fn a_receiver_may_read_its_own_secret_and_the_processor_reach_what_routes_name() {
        let found = Permissions::of(&inbox()).expect("the module can be read");
        let secret = "secretsmanager:GetSecretValue";
        assert_eq!(
            allowed(&found.roles["receiver-stripe"], secret),
            [json!(["arn:aws:secretsmanager:us-east-1:000000000000:secret:hooks/stripe-??????"])]
        );
        assert_eq!(allowed(&found.roles["receiver-git"], secret), [json!(["arn:own"])]);
        let processor = &found.roles["processor"];
        assert_eq!(
            allowed(processor, secret),
            [json!([
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:hooks/forward/mine-??????"
            ])]
        );
        assert!(
            allowed(processor, "sqs:SendMessage")
                .contains(&json!(["arn:aws:sqs:us-east-1:000000000000:work"]))
        );
        assert_eq!(allowed(processor, "events:PutEvents"), [] as [Value; 0]);
    }

    #[test]
    fn queues_and_bucket_have_policies_of_their_own() {
        let found = Permissions::of(&inbox()).expect("the module can be read");
        assert!(found.queues.contains_key("hooks-events"), "{:?}", found.queues.keys());
        assert!(found.queues.contains_key("hooks-events-dlq"), "{:?}", found.queues.keys());
        assert!(found.redrives.contains_key("hooks-events-dlq"), "{:?}", found.redrives.keys());
        let buckets: Vec<&str> = found.buckets.keys().map(String::as_str).collect();
        assert_eq!(buckets, ["hooks-payloads-000000000000-us-east-1"]);
        for (name, policy) in found.queues.iter().chain(&found.buckets) {
            assert_eq!(
                policy["Statement"][0]["Condition"],
                json!({ "Bool": { "aws:SecureTransport": ["false"] } }),
                "{name}"
            );
        }
    }

    /// A route that nobody can read must not take the others along.
    #[test]
    fn what_is_no_route_gives_no_permission() {
        let mut odd = inbox();
        odd.routes = json!([1, null, { "id": "x" }, { "handler": "publish" }]);
        let found = Permissions::of(&odd).expect("the module can be read");
        assert_eq!(allowed(&found.roles["processor"], "events:PutEvents"), [] as [Value; 0]);
        odd.routes = json!({});
        assert_eq!(Permissions::of(&odd).expect("the module can be read"), found);
    }
}
