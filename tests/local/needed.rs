//! Which permission of the module nobody needed in a test run, and which is said not to
//! be seen here and was.
//!
//! ```text
//! modules/inbox ─▶ every action of every statement ──┐
//! emulators ─────▶ what was allowed, by statement ───┼─ equal
//! aws_actions.json ▶ what cannot be seen here ───────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::LocalError;
use crate::actions::{Listed, listed};
use crate::decisions::Decision;
use crate::options;
use crate::permissions::{Inbox, Permissions, Policy, Source};

/// `operator`, `DeadLetters`, `sqs:PurgeQueue`.
pub type Permission = (String, String, String);

/// Every permission of an inbox whose routes use every handler.
pub fn granted() -> Result<BTreeSet<Permission>, LocalError> {
    let sources = options::default_sources(options::random_bytes).into_iter();
    let sources = sources.map(|it| {
        let source = Source { provider: it.provider, secret_arn: None };
        (it.name, source)
    });
    let routes = json!([
        { "id": "bus", "match": "*:*", "handler": "publish" },
        { "id": "function", "match": "*:*", "handler": "invoke", "with": { "function": "work" } },
        { "id": "queue", "match": "*:*", "handler": "enqueue",
          "with": { "queue_url": "https://sqs.us-east-1.amazonaws.com/000000000000/work" } },
        { "id": "topic", "match": "*:*", "handler": "enqueue",
          "with": { "topic_arn": "arn:aws:sns:us-east-1:000000000000:news" } },
        { "id": "mine", "match": "*:*", "handler": "forward", "with": { "url": "https://a" } },
    ]);
    let inbox = Inbox { name: "inbox".to_owned(), sources: sources.collect(), routes };
    Ok(of(&Permissions::of(&inbox)?))
}

/// Every permission of functions and operators.
#[must_use]
pub fn of(permissions: &Permissions) -> BTreeSet<Permission> {
    let mut all = BTreeSet::new();
    for (function, role) in &permissions.roles {
        let who = function.split('-').next().unwrap_or(function);
        role.policies.iter().for_each(|it| add(&mut all, who, it));
    }
    permissions.operator.iter().for_each(|it| add(&mut all, "operator", it));
    all
}

fn add(all: &mut BTreeSet<Permission>, who: &str, policy: &Policy) {
    for statement in policy.document["Statement"].as_array().into_iter().flatten() {
        let sid = statement["Sid"].as_str().unwrap_or_default();
        let actions = statement["Action"].as_array().into_iter().flatten();
        for action in actions.filter_map(Value::as_str) {
            all.insert((who.to_owned(), sid.to_owned(), action.to_owned()));
        }
    }
}

/// What was allowed, by the statement that did.
#[must_use]
pub fn used(decisions: &BTreeSet<Decision>) -> BTreeSet<Permission> {
    let allowed = decisions.iter().filter(|it| it.is_allowed());
    let by = allowed.filter_map(|it| Some((it.who()?, it)));
    by.map(|(who, it)| (who.to_owned(), it.statement.clone(), it.action.clone())).collect()
}

/// What cannot be seen here: by who, and action.
fn unseen(list: &Listed) -> BTreeMap<(String, String), String> {
    let by_aws = list.by_aws.iter().flat_map(|(who, all)| {
        all.iter().map(move |(what, reason)| {
            let action = what.split(' ').next().unwrap_or(what);
            ((who.clone(), action.to_owned()), reason.clone())
        })
    });
    let elsewhere = list.unseen.iter().flat_map(|(who, all)| {
        all.iter().map(move |(action, reason)| ((who.clone(), action.clone()), reason.clone()))
    });
    by_aws.chain(elsewhere).collect()
}

/// A sentence for each permission that nobody needed, and for each that is on the list
/// of what cannot be seen and was seen all the same.
#[must_use]
pub fn problems(granted: &BTreeSet<Permission>, used: &BTreeSet<Permission>) -> Vec<String> {
    let unseen = unseen(listed());
    let mut problems = Vec::new();
    for permission in granted {
        let (who, sid, action) = permission;
        let reason = unseen.get(&(who.clone(), action.clone()));
        match (used.contains(permission), reason) {
            (false, None) => problems.push(format!(
                "{who} may {action} by the statement {sid} of infra/modules/inbox, and no request \
                 of this run needed it: take it away, or test what needs it, or say in \
                 tests/fixtures/aws_actions.json why it cannot be seen here"
            )),
            (true, Some(reason)) if who == "operator" => problems.push(format!(
                "{who}: {action} stands in tests/fixtures/aws_actions.json as not to be seen here \
                 ({reason}), and a request of this run needed it: take it off"
            )),
            _ => {}
        }
    }
    let granted_actions: BTreeSet<_> =
        granted.iter().map(|(who, _, action)| (who.clone(), action.clone())).collect();
    for ((who, action), _) in unseen {
        if !granted_actions.contains(&(who.clone(), action.clone())) {
            problems.push(format!(
                "{who} may not {action} by infra/modules/inbox, but it stands in \
                 tests/fixtures/aws_actions.json: take it off"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(who: &str, sid: &str, action: &str) -> Permission {
        (who.to_owned(), sid.to_owned(), action.to_owned())
    }

    #[test]
    fn every_statement_has_a_name() {
        let all = granted().expect("the module can be read");
        assert!(all.contains(&permission("sweeper", "FindDue", "dynamodb:Query")), "{all:?}");
        let unnamed: Vec<_> = all.iter().filter(|(_, sid, _)| sid.is_empty()).collect();
        assert_eq!(unnamed, [] as [&Permission; 0], "give each statement a sid");
    }

    #[test]
    fn a_permission_that_nobody_needed_is_named_and_one_on_the_list_is_not() {
        let granted = granted().expect("the module can be read");
        let unused = permission("sweeper", "FindDue", "dynamodb:Query");
        let mut used = granted.clone();
        used.retain(|it| {
            *it != unused && !unseen(listed()).contains_key(&(it.0.clone(), it.2.clone()))
        });
        let found = problems(&granted, &used);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with("sweeper may dynamodb:Query by the statement FindDue"),
            "{found:?}"
        );
        used.insert(unused);
        assert_eq!(problems(&granted, &used), [] as [String; 0]);
    }

    #[test]
    fn what_is_on_the_list_and_was_seen_or_is_not_granted_is_named() {
        let granted = granted().expect("the module can be read");
        let all = problems(&granted, &granted);
        assert!(all.iter().any(|it| it.contains("operator: sqs:StartMessageMoveTask")), "{all:?}");
        let none = problems(&BTreeSet::new(), &BTreeSet::new());
        assert!(none.iter().any(|it| it.starts_with("sweeper may not logs:")), "{none:?}");
    }

    #[test]
    fn what_was_denied_was_not_used() {
        let mut decision = Decision {
            principal: "arn:aws:sts::000000000000:assumed-role/x-sweeper/x".to_owned(),
            action: "dynamodb:Query".to_owned(),
            resource: String::new(),
            statement: "FindDue".to_owned(),
            decision: "deny".to_owned(),
        };
        assert_eq!(used(&BTreeSet::from([decision.clone()])), BTreeSet::new());
        decision.decision = "allow".to_owned();
        let expected = permission("sweeper", "FindDue", "dynamodb:Query");
        assert_eq!(used(&BTreeSet::from([decision])), BTreeSet::from([expected]));
    }
}
