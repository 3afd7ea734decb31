//! What routes reach besides the inbox: what the processor may do for them, what is made
//! for them, and which routes are refused before anything is made.

use std::collections::BTreeSet;

use hcl::Value;
use inbox_local::actions::listed;
use serde_json::{Value as Json, json};

use super::{EVERYTHING, PLAIN, Rule, catches, holds, planned};
use crate::infra;
use crate::module::Module;
use crate::plan::{Instance, Plan};
use crate::validations::refusals;

/// Routes with every handler, and every form in which a target can be named.
pub(super) fn every_kind() -> Value {
    hcl::value!([
        { id = "all", match = "*:*", handler = "mirror" },
        { id = "own-bus", match = "*:*", handler = "publish" },
        { id = "own-bus-again", match = "stripe:*", handler = "publish", with = {} },
        { id = "bus", match = "*:*", handler = "publish",
          with = { bus = "sales", max_bytes = 1_000_000 } },
        { id = "bus-arn", match = "*:*", handler = "publish",
          with = { bus = "arn:aws:events:eu-west-1:210987654321:event-bus/other" } },
        { id = "function", match = "*:*", handler = "invoke", with = { function = "work" } },
        { id = "alias", match = "*:*", handler = "invoke", with = { function = "work:live" } },
        { id = "function-arn", match = "*:*", handler = "invoke",
          with = { function = "arn:aws:lambda:us-east-1:123456789012:function:other:$LATEST" } },
        { id = "queue", match = "*:*", handler = "enqueue",
          with = { queue_url = "https://sqs.eu-west-1.amazonaws.com/210987654321/work.fifo",
                   max_bytes = 1_048_576 } },
        { id = "topic", match = "*:*", handler = "enqueue",
          with = { topic_arn = "arn:aws:sns:us-east-1:123456789012:news" } },
        { id = "github", match = "*:*", handler = "forward",
          with = { url = "https://example.com/hooks?tenant=1" } },
        { id = "secret", match = "*:*", handler = "forward",
          with = { url = "http://10.0.0.1:8080", allow_private_addresses = true, secret_id = "mine" } },
        { id = "secret-arn", match = "*:*", handler = "forward",
          with = { url = "https://example.com",
                   secret_id = "arn:aws:secretsmanager:us-east-1:123456789012:secret:mine-AbCdEf" } },
    ])
}

/// `action resource ARN`, for each route and each of its handler's calls: in the words of
/// the list, and with the very resource that the route names.
pub(super) fn reached_by_routes(plan: &Plan) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    for route in plan.routes() {
        let handler = route["handler"].as_str().unwrap_or_default();
        for call in listed().with_handler.get(handler).into_iter().flatten() {
            let (action, word) = call.split_once(' ').expect("an action and a resource");
            reached.extend(named(plan, &route["with"], word).map(|arn| format!("{action} {arn}")));
        }
    }
    reached
}

/// The ARN of what a route's options name, for a resource in the list's words.
fn named(plan: &Plan, with: &Json, word: &str) -> Option<String> {
    let given = |option: &str| with[option].as_str().map(str::to_owned);
    let here = |service: &str, rest: &str| {
        format!(
            "arn:<data.aws_partition.this.partition>:{service}:<data.aws_region.this.region>:\
             <data.aws_caller_identity.this.account_id>:{rest}"
        )
    };
    let in_full = |name: String, whole: &dyn Fn(&str) -> String| {
        if name.starts_with("arn:") { name } else { whole(&name) }
    };
    match word {
        "event_bus" => {
            let own =
                plan.all("aws_cloudwatch_event_bus").next().map(|it| it.text("name").to_owned());
            let bus = given("bus").or(own)?;
            Some(in_full(bus, &|name| here("events", &format!("event-bus/{name}"))))
        }
        "invoked_function" => {
            Some(in_full(given("function")?, &|name| here("lambda", &format!("function:{name}"))))
        }
        "target_queue" => {
            let url = given("queue_url")?;
            let rest = url.strip_prefix("https://sqs.").expect("a queue's URL");
            let (region, rest) = rest.split_once(".amazonaws.com/").expect("a region");
            let (account, name) = rest.split_once('/').expect("an account");
            Some(format!("arn:<data.aws_partition.this.partition>:sqs:{region}:{account}:{name}"))
        }
        "target_topic" => given("topic_arn"),
        "forward_secret" => {
            let id = given("secret_id")?;
            let made = made_for_routes(plan).find(|it| it.text("name") == id);
            Some(made.map_or_else(
                || in_full(id, &|name| here("secretsmanager", &format!("secret:{name}-??????"))),
                |it| it.reference("arn"),
            ))
        }
        other => panic!("aws_actions.json: with_handler: unknown resource {other}"),
    }
}

fn made_for_routes(plan: &Plan) -> impl Iterator<Item = &Instance> {
    plan.all("aws_secretsmanager_secret").filter(|it| it.name == "forward")
}

/// A route that names no secret gets one of its own, by the name that the processor is
/// given; others get none.
fn forwards_have_their_secrets(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    let routes = plan.routes();
    let prefix = |it: &Instance| {
        format!("{}/forward/", it.text("name").split('/').next().unwrap_or_default())
    };
    let mut left: BTreeSet<&str> = made_for_routes(plan).map(|it| it.text("name")).collect();
    for route in routes.iter().filter(|it| it["handler"] == json!("forward")) {
        let id = route["id"].as_str().unwrap_or_default();
        let Some(secret) = route["with"]["secret_id"].as_str() else {
            problems.push(format!("route {id}: no secret"));
            continue;
        };
        left.remove(secret);
        let made = made_for_routes(plan).find(|it| it.text("name") == secret);
        if made.is_some_and(|it| secret != format!("{}{id}", prefix(it))) {
            problems.push(format!("route {id}: has the secret of another"));
        }
        if made.is_none() && secret.contains("/forward/") {
            problems.push(format!("route {id}: {secret} is not made"));
        }
    }
    problems.extend(left.into_iter().map(|it| format!("{it}: no route uses it")));
    problems
}

#[test]
fn every_route_that_forwards_has_a_secret_of_its_own_unless_it_names_one() {
    let rule: Rule = forwards_have_their_secrets;
    holds(rule);
    assert_eq!(made_for_routes(&EVERYTHING).count(), 1);
    catches(rule, "hooks/forward/github is not made", |plan| {
        plan.remove(|it| it.kind == "aws_secretsmanager_secret" && it.name == "forward");
    });
    catches(rule, "route github: no secret", |plan| {
        let mut routes = plan.routes();
        for route in &mut routes {
            route["with"].as_object_mut().unwrap().remove("secret_id");
        }
        let processor = plan.processor().address();
        plan.set(&processor, "/environment/0/variables/ROUTES", json!(json!(routes).to_string()));
    });
}

#[test]
fn nothing_is_allowed_and_nothing_made_for_routes_that_nobody_has() {
    let is_for_targets = |it: &&Instance| it.is_data && it.name == "targets";
    assert_eq!(PLAIN.instances.iter().filter(is_for_targets).count(), 0);
    assert_eq!(EVERYTHING.instances.iter().filter(is_for_targets).count(), 1);
    let mirror = planned(&hcl::value!({
        processor = { routes = [{ id = "all", match = "*:*", handler = "mirror" }] }
    }));
    assert_eq!(mirror.instances.iter().filter(is_for_targets).count(), 0);
    assert_eq!(reached_by_routes(&mirror), BTreeSet::new());
}

/// Removing a statement, or a target from it, takes a permission away; one more is one
/// too many.
#[test]
fn each_target_is_allowed_by_itself() {
    let rule = super::permissions::permissions_are_those_of_the_list;
    let document = "data.aws_iam_policy_document.targets[0]";
    let statements = EVERYTHING.instances.iter().find(|it| it.address() == document).unwrap();
    let statements = statements.blocks("statement").to_vec();
    assert_eq!(statements.len(), 5);
    for (number, statement) in statements.iter().enumerate() {
        let pointer = format!("/statement/{number}/resources");
        let resources = statement["resources"].as_array().unwrap();
        for taken in resources {
            let rest: Vec<_> = resources.iter().filter(|it| *it != taken).collect();
            let action = statement["actions"][0].as_str().unwrap();
            let said = format!("may not: {action} {}", taken.as_str().unwrap());
            catches(rule, &said, |plan| plan.set(document, &pointer, json!(rest)));
        }
        let more = [resources.clone(), vec![json!("arn:aws:x:::more")]].concat();
        catches(rule, "need not: ", |plan| plan.set(document, &pointer, json!(more)));
    }
}

#[test]
fn routes_that_cannot_work_are_refused_before_anything_is_made() {
    let module = Module::read(&infra().join("modules/inbox"));
    let said = |given: Value| refusals(&module, given.as_object().unwrap());
    let of = |routes: Value| said(hcl::value!({ processor = { routes = routes } }));
    assert_eq!(said(hcl::value!({})), [""; 0]);
    assert_eq!(of(every_kind()), [""; 0]);
    assert_eq!(of(hcl::value!([])), [""; 0]);

    let one = |handler: &str, with: Value| {
        let handler = handler.to_owned();
        of(hcl::value!([{ id = "a", match = "*:*", handler = handler, with = with }]))
    };
    let queue = "https://sqs.us-east-1.amazonaws.com/123456789012/";
    let topic = "arn:aws:sns:us-east-1:123456789012:news";
    for (handler, with, expected) in [
        ("invoke", hcl::value!({}), "invoke needs with = { function"),
        ("invoke", hcl::value!({ function = "a b" }), "invoke needs with = { function"),
        ("enqueue", hcl::value!({}), "exactly one of the two"),
        (
            "enqueue",
            hcl::value!({ queue_url = (format!("{queue}work")), topic_arn = topic }),
            "exactly one of the two",
        ),
        ("enqueue", hcl::value!({ queue_url = "work" }), "must be a queue's URL"),
        (
            "enqueue",
            hcl::value!({ queue_url = (format!("{queue}webhook-inbox-events")) }),
            "one of the inbox's own queues",
        ),
        (
            "enqueue",
            hcl::value!({ queue_url = (format!("{queue}webhook-inbox-events-dlq")) }),
            "one of the inbox's own queues",
        ),
        ("enqueue", hcl::value!({ topic_arn = "news" }), "must be the ARN of an SNS topic"),
        ("enqueue", hcl::value!({ topic_arn = topic, max_bytes = 65535 }), "max_bytes of a route"),
        (
            "enqueue",
            hcl::value!({ topic_arn = topic, max_bytes = 1_048_577 }),
            "max_bytes of a route",
        ),
        (
            "enqueue",
            hcl::value!({ topic_arn = topic, max_bytes = 65536.5 }),
            "max_bytes of a route",
        ),
        (
            "enqueue",
            hcl::value!({ topic_arn = topic, max_bytes = "65536" }),
            "max_bytes of a route",
        ),
        ("publish", hcl::value!({ max_bytes = 1_000_001 }), "max_bytes of a route"),
        ("forward", hcl::value!({}), "forward needs with = { url"),
        (
            "forward",
            hcl::value!({ url = "http://example.com" }),
            "http:// only with allow_private_addresses",
        ),
        (
            "forward",
            hcl::value!({ url = "https://user:password@example.com" }),
            "without user, password",
        ),
        ("notify", hcl::value!({ channel = null }), "An option of a route is null"),
    ] {
        let found = one(handler, with.clone());
        assert!(found.len() == 1 && found[0].contains(expected), "{handler} {with}: {found:?}");
    }
    for (routes, expected) in [
        (hcl::value!([{ id = "a", match = "*:*" }]), "each with id, match and handler"),
        (hcl::value!([{ id = "a b", match = "*:*", handler = "mirror" }]), "1 to 64 letters"),
        (hcl::value!([{ id = "a", match = "stripe", handler = "mirror" }]), "must be source:type"),
        (
            hcl::value!([{ id = "a", match = "*:*", handler = "publish", bus = "b" }]),
            "belong into with",
        ),
        (
            hcl::value!([
                { id = "a", match = "*:*", handler = "mirror" },
                { id = "a", match = "*:*", handler = "publish" },
            ]),
            "has an id twice",
        ),
    ] {
        let found = of(routes.clone());
        assert!(found.len() == 1 && found[0].contains(expected), "{routes}: {found:?}");
    }
    let without_bus = said(hcl::value!({
        event_bus = false
        processor = { routes = [{ id = "a", match = "*:*", handler = "publish" }] }
    }));
    assert!(without_bus.len() == 1 && without_bus[0].contains("needs a bus"), "{without_bus:?}");
}

fn retrying(retry_on: &Value) -> Value {
    hcl::value!({ url = "https://example.com", retry = { retry_on = (retry_on.clone()) } })
}

#[test]
fn what_a_route_cannot_retry_on_and_what_is_no_time_limit_is_refused() {
    let module = Module::read(&infra().join("modules/inbox"));
    for (handler, with, expected) in [
        ("mirror", hcl::value!({ timeout_seconds = 0 }), "timeout_seconds of a route"),
        ("mirror", hcl::value!({ timeout_seconds = 31 }), "from 1 to the time that every handler"),
        ("mirror", hcl::value!({ timeout_seconds = "5" }), "timeout_seconds of a route"),
        ("forward", retrying(&hcl::value!(["5xx"])), "statuses from 400 to 499"),
        ("forward", retrying(&hcl::value!([404, "500"])), "statuses from 400 to 499"),
        ("forward", retrying(&hcl::value!([])), "retry of a route"),
        (
            "forward",
            hcl::value!({ url = "https://example.com", retry = { on = ["4xx"] } }),
            "retry of a route",
        ),
    ] {
        let handler = handler.to_owned();
        let routes =
            hcl::value!([{ id = "a", match = "*:*", handler = handler, with = (with.clone()) }]);
        let given = hcl::value!({ processor = { routes = routes } });
        let found = refusals(&module, given.as_object().unwrap());
        assert!(found.len() == 1 && found[0].contains(expected), "{with}: {found:?}");
    }
}

#[test]
fn what_a_route_may_retry_on_and_how_long_it_may_take_is_let_through() {
    let with = hcl::value!({
        url = "https://example.com", timeout_seconds = 45,
        retry = { retry_on = ["403", 404, "4xx"] }
    });
    let routes = hcl::value!([{ id = "a", match = "*:*", handler = "forward", with = with }]);
    let processor = hcl::value!({ routes = routes, handler_timeout_seconds = 45 });
    let said = planned(&hcl::value!({ processor = processor })).refused;
    assert_eq!(said, Vec::<String>::new());
}
