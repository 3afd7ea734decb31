//! Routes out of a Terraform plan, as `terraform show -json` prints it.
//!
//! ```text
//! planned_values    what is known: the processor's variables, ROUTES among them
//! resource_changes  after_unknown: what only the apply will tell
//! ```
//!
//! What is not known yet is left alone: a route may name what the same apply makes.
//! <https://developer.hashicorp.com/terraform/internals/json-format>

use std::collections::BTreeMap;

use inbox_processor::config::split;
use inbox_processor::routes::{Routes, Surroundings};
use serde_json::Value;

use super::Sound;
use super::deployed::{OWN_QUEUES, handler_timeout};
use crate::fault::Fault;

const TYPE: &str = "aws_lambda_function";
/// The resource of `infra/modules/inbox` that runs the routes.
const PROCESSOR: &str = "processor";
/// Those that receive, one for each source.
const RECEIVER: &str = "receiver";
const VARIABLE_ROUTES: &str = "ROUTES";

static NOTHING: Value = Value::Null;

/// One inbox of a plan; a caller may deploy several.
#[derive(Debug)]
pub(super) struct Planned {
    /// `module.inbox.aws_lambda_function.processor`
    pub(super) address: String,
    /// What the processor's own code says of its routes; `None` while they are unknown.
    pub(super) routes: Option<Result<Sound, Vec<String>>>,
}

/// Every inbox of a plan, with its routes judged.
///
/// # Errors
///
/// The text is no plan.
pub(super) fn read(text: &str) -> Result<Vec<Planned>, Fault> {
    let no_plan = |problem: String| {
        Fault::usage(
            format!("this is no plan of Terraform: {problem}"),
            "give what `terraform show -json FILE` prints of a file that `terraform plan -out=FILE` \
             wrote",
        )
    };
    let plan: Value = serde_json::from_str(text).map_err(|fault| no_plan(fault.to_string()))?;
    let root = &plan["planned_values"]["root_module"];
    if !root.is_object() {
        return Err(no_plan("it has no planned_values".to_owned()));
    }
    let mut found = Vec::new();
    collect(root, &mut found);
    let judged = |(resource, sources): (_, Sources)| judged(resource, &sources, &plan);
    Ok(found.into_iter().map(judged).collect())
}

/// The sources of an inbox, by their providers.
type Sources = BTreeMap<String, String>;

/// The processors of a module and of those that it calls, each with the sources of its own.
fn collect<'a>(module: &'a Value, found: &mut Vec<(&'a Value, Sources)>) {
    let functions = |name: &'static str| {
        let resources = module["resources"].as_array().into_iter().flatten();
        resources.filter(move |resource| {
            resource["mode"] == "managed" && resource["type"] == TYPE && resource["name"] == name
        })
    };
    let sources = functions(RECEIVER).filter_map(|receiver| {
        let variables = &receiver["values"]["environment"][0]["variables"];
        let given = |name: &str| Some(variables[name].as_str()?.to_owned());
        Some((given("SOURCE")?, given("PROVIDER")?))
    });
    let sources: Sources = sources.collect();
    found.extend(functions(PROCESSOR).map(|processor| (processor, sources.clone())));
    for child in module["child_modules"].as_array().into_iter().flatten() {
        collect(child, found);
    }
}

fn judged(resource: &Value, sources: &Sources, plan: &Value) -> Planned {
    let address = resource["address"].as_str().unwrap_or_default().to_owned();
    let variables = Variables {
        known: &resource["values"]["environment"][0]["variables"],
        unknown: plan["resource_changes"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|change| change["address"] == address.as_str())
            .map_or(&NOTHING, |change| &change["change"]["after_unknown"]["environment"]),
    };
    if variables.is_unknown(VARIABLE_ROUTES) {
        return Planned { address, routes: None };
    }
    let surroundings = Surroundings {
        mirror_table: variables.known_or_to_come("MIRROR_TABLE_NAME"),
        event_bus: variables.known_or_to_come("EVENT_BUS_NAME"),
        payload_bucket: variables.known_or_to_come("PAYLOAD_BUCKET"),
        own_queues: OWN_QUEUES
            .into_iter()
            .filter_map(|name| variables.known(name).map(str::to_owned))
            .collect(),
        sources: split(variables.known("SOURCES")),
        handler_timeout: handler_timeout(variables.known("HANDLER_TIMEOUT_SECONDS")),
    };
    let routes = Routes::of_deployed(variables.known(VARIABLE_ROUTES), &surroundings);
    Planned { address, routes: Some(routes.map(|routes| Sound::of(&routes, sources))) }
}

/// The processor's variables, as far as a plan tells.
struct Variables<'a> {
    known: &'a Value,
    unknown: &'a Value,
}

impl Variables<'_> {
    fn known(&self, name: &str) -> Option<&str> {
        self.known[name].as_str().filter(|value| !value.is_empty())
    }

    /// Terraform says `true` of whatever is unknown, at the level where it is.
    fn is_unknown(&self, name: &str) -> bool {
        let block = &self.unknown[0];
        [self.unknown, block, &block["variables"], &block["variables"][name]]
            .into_iter()
            .any(|is_unknown| *is_unknown == Value::Bool(true))
    }

    fn known_or_to_come(&self, name: &str) -> Option<String> {
        match self.known(name) {
            Some(value) => Some(value.to_owned()),
            None => self.is_unknown(name).then(|| "known after apply".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ADDRESS: &str = "module.inbox.aws_lambda_function.processor";

    fn plan(variables: &Value, unknown: &Value) -> String {
        let function = json!({
            "address": ADDRESS, "mode": "managed", "type": TYPE, "name": PROCESSOR,
            "values": {"environment": [{"variables": variables}]},
        });
        let receiver = json!({
            "address": "module.inbox.aws_lambda_function.receiver[\"eu\"]", "mode": "managed",
            "type": TYPE, "name": RECEIVER,
            "values": {"environment": [{"variables": {"SOURCE": "eu", "PROVIDER": "stripe"}}]},
        });
        let other = json!({
            "address": "aws_lambda_function.mine", "mode": "managed", "type": TYPE, "name": "mine",
            "values": {"environment": [{"variables": {"ROUTES": "nothing of ours"}}]},
        });
        json!({
            "format_version": "1.2",
            "planned_values": {"root_module": {
                "resources": [other],
                "child_modules": [{"address": "module.inbox", "resources": [receiver, function]}],
            }},
            "resource_changes": [
                {"address": ADDRESS, "change": {"after_unknown": {"environment": unknown}}},
            ],
        })
        .to_string()
    }

    fn judged(variables: &Value, unknown: &Value) -> Option<Result<Sound, Vec<String>>> {
        let mut found = read(&plan(variables, unknown)).expect("a plan");
        assert_eq!(found.len(), 1, "the team's own functions are not the inbox's: {found:?}");
        assert_eq!(found[0].address, ADDRESS);
        found.remove(0).routes
    }

    #[test]
    fn routes_are_judged_by_the_processors_own_code() {
        let mirror = r#"[{"id":"a","match":"*:*","handler":"mirror"}]"#;
        let known = json!({"ROUTES": mirror, "MIRROR_TABLE_NAME": "m"});
        let sound = |count, advice: &[&str]| {
            let advice = advice.iter().map(|it| (*it).to_owned()).collect();
            Some(Ok(Sound { count, advice }))
        };
        assert_eq!(judged(&known, &json!([{"variables": {}}])), sound(1, &[]));
        let misspelt = mirror.replace("*:*", "us:*");
        let known = json!({"ROUTES": misspelt, "MIRROR_TABLE_NAME": "m", "SOURCES": "eu"});
        let said = judged(&known, &json!([{"variables": {}}]));
        let Some(Ok(Sound { advice, .. })) = said else { panic!("{said:?}") };
        assert_eq!(advice.len(), 2, "by the plan's own sources: {advice:?}");
        let without_table = json!({"ROUTES": mirror});
        let told = judged(&without_table, &json!([{"variables": {}}]));
        let expected = "route 1 (\"a\"): handler mirror: needs the name of the mirror's table";
        assert!(
            matches!(&told, Some(Err(problems)) if problems[0].starts_with(expected)),
            "{told:?}"
        );
        // The table is made by the same apply.
        let to_come = json!([{"variables": {"MIRROR_TABLE_NAME": true}}]);
        assert_eq!(judged(&without_table, &to_come), sound(1, &[]));
    }

    #[test]
    fn routes_that_only_the_apply_will_tell_are_left_alone() {
        for unknown in [
            json!([{"variables": {"ROUTES": true}}]),
            json!([{"variables": true}]),
            json!([true]),
            json!(true),
        ] {
            assert_eq!(judged(&json!({}), &unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_is_no_plan_is_answered_with_how_to_get_one() {
        for text in ["", "{}", "[]", r#"{"values": {"root_module": {}}}"#] {
            let fault = read(text).expect_err("no plan");
            assert_eq!(fault.exit_code(), 2, "{text}");
            assert!(fault.advice().is_some_and(|it| it.contains("terraform show -json")), "{text}");
        }
    }
}
