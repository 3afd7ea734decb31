//! Every value that the module refuses, and in which words: each `validation` of a
//! variable and each `precondition` of a resource refuses at least one of these, and says
//! to Terraform's user what our own evaluator says it does.

use std::collections::BTreeSet;

use super::forms::MODULE;
use super::runs::{Outcome, Run, Said, test};
use super::workspace::{End, Workspace, is_there};
use crate::infra;
use crate::module::Module;
use crate::plan::plan;
use crate::validations::refusals;

/// A few of the words, and the variables that are refused with them.
const REFUSED: &[(&str, &str)] = &[
    ("lower-case letters, digits and hyphens", r#"name = "Hooks""#),
    ("lower-case letters, digits and hyphens", r#"name = "a-name-of-27-characters-in-it""#),
    ("lower-case letters, digits and hyphens", r#"name = "a""#),
    ("sources is empty", "sources = {}"),
    ("Names of sources must be", r#"sources = { Stripe = { provider = "stripe" } }"#),
    (
        "A function is called NAME-receiver-SOURCE",
        r#"
        name    = "an-inbox-of-26-characters1"
        sources = { a_source_of_29_characters_her = { provider = "stripe" } }
        "#,
    ),
    ("A source has an unknown provider", r#"sources = { a = { provider = "strpe" } }"#),
    ("dedup must be \"id\" or", r#"sources = { a = { provider = "stripe", dedup = "body" } }"#),
    (
        "dedup must be \"id\" for a provider",
        r#"sources = { a = { provider = "twilio", dedup = "content" } }"#,
    ),
    (
        "hook_ids is for a provider",
        r#"sources = { a = { provider = "stripe", hook_ids = ["1"] } }"#,
    ),
    ("hook_ids must be", r#"sources = { a = { provider = "github", hook_ids = ["one"] } }"#),
    (
        "at most 100 of a source",
        r#"
        sources = {
          a = {
            provider = "github"
            hook_ids = [
              "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
              "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32", "33",
              "34", "35", "36", "37", "38", "39", "40", "41", "42", "43", "44", "45", "46", "47", "48", "49", "50",
              "51", "52", "53", "54", "55", "56", "57", "58", "59", "60", "61", "62", "63", "64", "65", "66", "67",
              "68", "69", "70", "71", "72", "73", "74", "75", "76", "77", "78", "79", "80", "81", "82", "83", "84",
              "85", "86", "87", "88", "89", "90", "91", "92", "93", "94", "95", "96", "97", "98", "99", "100",
            ]
          }
        }
        "#,
    ),
    (
        "Of two sources whose provider signs its URL",
        r#"
        sources = {
          sms   = { provider = "twilio", public_base_url = "https://example.com" }
          smsuk = { provider = "twilio", public_base_url = "https://example.com" }
        }
        "#,
    ),
    ("memory_mb of a source", r#"sources = { a = { provider = "stripe", memory_mb = 127 } }"#),
    (
        "timeout_seconds of a source",
        r#"sources = { a = { provider = "stripe", timeout_seconds = 30 } }"#,
    ),
    (
        "reserved_concurrency of a source",
        r#"sources = { a = { provider = "stripe", reserved_concurrency = 0 } }"#,
    ),
    (
        "throttle needs requests_per_second",
        r#"sources = { a = { provider = "stripe", throttle = { burst = 0 } } }"#,
    ),
    (
        "must leave 100 of account_concurrency",
        r#"
        account_concurrency = 110
        sources = { a = { provider = "stripe", reserved_concurrency = 11 } }
        "#,
    ),
    (
        "more than half of account_concurrency",
        r#"sources = { a = { provider = "stripe", throttle = { requests_per_second = 500 } } }"#,
    ),
    (
        "provisioned_concurrency of a source",
        r#"sources = { a = { provider = "stripe", provisioned_concurrency = 0.5 } }"#,
    ),
    (
        "account_concurrency must be",
        r#"
        account_concurrency = 9
        sources = { a = { provider = "stripe", throttle = { requests_per_second = 0.1 } } }
        "#,
    ),
    ("log_level must be", r#"log_level = "a b""#),
    (
        "public_base_url must be",
        r#"sources = { a = { provider = "twilio", public_base_url = "http://example.com" } }"#,
    ),
    ("max_body_bytes must be", r#"sources = { a = { provider = "stripe", max_body_bytes = 0 } }"#),
    ("retention_days must be", r#"sources = { a = { provider = "stripe", retention_days = 14 } }"#),
    (
        "A zip is missing",
        r#"packages = { receiver = "nowhere", processor = "nowhere", sweeper = "nowhere" }"#,
    ),
    ("architecture must be", r#"architecture = "arm""#),
    ("processor.memory_mb must be", "processor = { memory_mb = 20000 }"),
    ("processor.maximum_concurrency must be", "processor = { maximum_concurrency = 1 }"),
    (
        "processor.routes must be a list of routes",
        r#"processor = { routes = [{ id = "a", match = "*:*" }] }"#,
    ),
    (
        "has an attribute besides",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "publish", bus = "b" }] }"#,
    ),
    (
        "The id of a route must be",
        r#"processor = { routes = [{ id = "a b", match = "*:*", handler = "mirror" }] }"#,
    ),
    (
        "has an id twice",
        r#"
        processor = {
          routes = [
            { id = "a", match = "*:*", handler = "mirror" },
            { id = "a", match = "*:*", handler = "publish" },
          ]
        }
        "#,
    ),
    (
        "The match of a route must be",
        r#"processor = { routes = [{ id = "a", match = "stripe", handler = "mirror" }] }"#,
    ),
    ("more than 32 routes", "processor = { routes = THIRTY_THREE_ROUTES }"),
    (
        "An option of a route is null",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "notify", with = { channel = null } }] }"#,
    ),
    (
        "needs a bus",
        r#"
        event_bus = false
        processor = { routes = [{ id = "a", match = "*:*", handler = "publish" }] }
        "#,
    ),
    (
        "handler invoke needs",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "invoke", with = { function = "a b" } }] }"#,
    ),
    (
        "handler enqueue needs",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "enqueue", with = {} }] }"#,
    ),
    (
        "queue_url of a route must be a queue's URL",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "enqueue", with = { queue_url = "work" } }] }"#,
    ),
    (
        "one of the inbox's own queues",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "enqueue", with = { queue_url = "https://sqs.us-east-1.amazonaws.com/123456789012/webhook-inbox-events" } }] }"#,
    ),
    (
        "topic_arn of a route must be",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "enqueue", with = { topic_arn = "news" } }] }"#,
    ),
    (
        "max_bytes of a route must be",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "publish", with = { max_bytes = "65536" } }] }"#,
    ),
    (
        "timeout_seconds of a route must be",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "mirror", with = { timeout_seconds = 0 } }] }"#,
    ),
    (
        "retry of a route with handler forward must be",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "forward", with = { url = "https://example.com", retry = { retry_on = ["500"] } } }] }"#,
    ),
    (
        "handler forward needs",
        r#"processor = { routes = [{ id = "a", match = "*:*", handler = "forward", with = { url = "http://example.com" } }] }"#,
    ),
    ("must be whole numbers", "processor = { retry_delays_seconds = [1.5] }"),
    ("retry_delays_seconds is empty", "processor = { retry_delays_seconds = [] }"),
    ("too many waits", "processor = { retry_delays_seconds = [1, 1, 1, 1, 1, 1, 1] }"),
    ("handler_timeout_seconds must be", "processor = { handler_timeout_seconds = 0 }"),
    (
        "custom_domain.name must be",
        r#"custom_domain = { name = "https://example.com", certificate_arn = "arn" }"#,
    ),
    (
        "create = true or an arn, not both",
        r#"customer_key = { create = true, arn = "arn:aws:kms:us-east-1:123456789012:key/1" }"#,
    ),
    (
        "not an alias",
        r#"customer_key = { arn = "arn:aws:kms:us-east-1:123456789012:alias/inbox" }"#,
    ),
    ("secret_recovery_days must be", "secret_recovery_days = 3"),
    ("log_retention_days must be", "log_retention_days = 2"),
    (
        "alarms.emails subscribe to",
        r#"alarms = { emails = ["a@example.com"], topic = { arn = "arn:aws:sns:us-east-1:123456789012:a" } }"#,
    ),
    (
        "keeps events for",
        r#"
        sources   = { a = { provider = "stripe", retention_days = 16 } }
        processor = { retry_delays_seconds = [86400, 86400, 86400, 86400] }
        "#,
    ),
    (
        "ask for events that are kept for",
        r#"
        sources   = { a = { provider = "stripe", retention_days = 365 } }
        processor = { retry_delays_seconds = THIRTY_DAYS }
        "#,
    ),
    ("of 4,096 that Lambda allows", "processor = { routes = TWENTY_LONG_ROUTES }"),
];

/// The variables as they are written, `packages` among them.
fn written(form: &str, packages: &str) -> String {
    let route = |number: usize, rest: &str| {
        format!(r#"{{ id = "route-{number:0>40}", match = "*:*", {rest} }}"#)
    };
    let many = |count: usize, rest: &str| {
        let all: Vec<String> = (0..count).map(|number| route(number, rest)).collect();
        format!("[\n{}\n]", all.join(",\n"))
    };
    let form = form.replace("THIRTY_THREE_ROUTES", &many(33, r#"handler = "mirror""#)).replace(
        "TWENTY_LONG_ROUTES",
        &many(20, r#"handler = "forward", with = { url = "https://example.com" }"#),
    );
    let form = form.replace("THIRTY_DAYS", &format!("{:?}", [86_400; 30]));
    if form.starts_with("packages") { form } else { packages.to_owned() + &form }
}

/// What our own evaluator says to the same variables, where it should say `theirs`.
fn ours(module: &Module, variables: &str, theirs: &[String]) -> Vec<String> {
    let given: hcl::Value = hcl::from_str(variables).unwrap();
    let given = given.as_object().unwrap();
    let mut said = refusals(module, given);
    if said.is_empty() {
        said = plan(module, given).refused;
        // How long something is may depend on the region, which it does not know.
        let is_same = said.iter().map(|it| blurred(it)).eq(theirs.iter().map(|it| blurred(it)));
        if is_same {
            return theirs.to_vec();
        }
    }
    said.sort();
    said
}

/// A text without its numbers.
fn blurred(text: &str) -> String {
    text.split(|it: char| it.is_ascii_digit())
        .filter(|it| !it.is_empty())
        .collect::<Vec<_>>()
        .join("#")
}

/// The condition that refused: `variables.tf:15`.
fn refused_at(said: &Said) -> String {
    let (_, place) = said.detail.split_once("validation rule at ").unwrap_or(("", &said.place));
    place.split([',', '-']).next().unwrap_or_default().to_owned()
}

fn words(outcome: &Outcome) -> Vec<String> {
    let mut all: Vec<String> = outcome
        .said
        .iter()
        .map(|it| it.detail.split("\n\nThis was checked").next().unwrap_or_default().to_owned())
        .collect();
    all.sort();
    all
}

#[test]
fn terraform_refuses_what_cannot_work_in_the_words_of_each_condition() {
    if !is_there() {
        return;
    }
    let workspace = Workspace::new(End::Newest);
    workspace.init(MODULE);
    let module = Module::read(&infra().join("modules/inbox"));
    let all: Vec<String> =
        REFUSED.iter().map(|(_, form)| written(form, &workspace.packages())).collect();
    let runs: Vec<Run> =
        all.iter().map(|it| Run::plan(format!("variables {{\n{it}\n}}"))).collect();
    let mut places = BTreeSet::new();
    let outcomes = test(&workspace, MODULE, &runs);
    for (((expected, form), variables), outcome) in REFUSED.iter().zip(&all).zip(&outcomes) {
        let found = words(outcome);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{form}\nmust be refused with {expected:?} and nothing else, not: {found:#?}"
        );
        assert_eq!(
            ours(&module, variables, &found),
            found,
            "{form}\nour evaluator (left) must refuse it as Terraform does (right)"
        );
        places.extend(outcome.said.iter().map(refused_at));
    }
    let untried: Vec<String> = conditions().difference(&places).cloned().collect();
    assert!(
        untried.is_empty(),
        "nothing was refused by {untried:?}: add what each refuses to tests/infra/terraform/refusals.rs"
    );
}

/// Where each `validation` or `condition` of a precondition stands.
fn conditions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(infra().join("modules/inbox")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "tf") {
            continue;
        }
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut is_precondition = false;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            is_precondition |= line.starts_with("precondition {");
            if line.starts_with("validation {") {
                found.insert(format!("{file}:{}", number + 1));
            } else if is_precondition && line.starts_with("condition ") {
                is_precondition = false;
                // How long a policy is depends on ARNs, which no plan knows.
                if line.contains("minified_json") {
                    continue;
                }
                found.insert(format!("{file}:{}", number + 1));
            }
        }
    }
    assert!(found.len() > 40, "too few conditions: {found:?}");
    found
}
