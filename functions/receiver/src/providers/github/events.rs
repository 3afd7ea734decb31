//! What the body of each of GitHub's events must hold.
//!
//! Nobody signs the header that names the event, so who holds one signed body could
//! send it again under another name. The body says what it is about: an `issues`
//! event has an `issue`. One that lacks a member which all events of the claimed name
//! have is not what it claims to be. The converse does not hold: a comment's event
//! has an `issue` too.
//!
//! The members are those that GitHub's own description requires of every action of
//! an event, for github.com, Enterprise Cloud and Enterprise Server 3.14 to 3.19:
//! <https://github.com/octokit/openapi-webhooks>, npm `@octokit/openapi-webhooks`
//! 12.1.0; `ping` is of <https://github.com/octokit/webhooks>. Where an event
//! requires many, the ones that tell it from others. Names that are not here, newer
//! ones for example, are believed.

/// The most members of an event.
pub(super) const MEMBERS: usize = 4;

/// Names in order, with the members.
const EVENTS: &[(&str, &[&str])] = &[
    ("branch_protection_configuration", &["action", "repository"]),
    ("branch_protection_rule", &["action", "rule"]),
    ("cache_sync", &["after", "before", "cache_location", "ref"]),
    ("check_run", &["action", "check_run"]),
    ("check_suite", &["action", "check_suite"]),
    ("code_scanning_alert", &["action", "alert", "commit_oid", "ref"]),
    ("commit_comment", &["action", "comment", "repository"]),
    ("create", &["master_branch", "pusher_type", "ref", "ref_type"]),
    ("custom_property", &["action", "definition"]),
    ("custom_property_values", &["action", "new_property_values", "old_property_values"]),
    ("delete", &["pusher_type", "ref", "ref_type"]),
    ("dependabot_alert", &["action", "alert"]),
    ("deploy_key", &["action", "key"]),
    ("deployment", &["action", "deployment", "workflow_run"]),
    ("deployment_protection_rule", &["action", "repository"]),
    ("deployment_review", &["action", "since", "workflow_run"]),
    ("deployment_status", &["action", "deployment", "deployment_status"]),
    ("discussion", &["action", "discussion"]),
    ("discussion_comment", &["action", "comment", "discussion"]),
    ("dismissal_request_code_scanning", &["action", "exemption_request"]),
    ("dismissal_request_secret_scanning", &["action", "exemption_request"]),
    ("enterprise", &["action"]),
    ("exemption_request_push_ruleset", &["action", "exemption_request"]),
    ("exemption_request_secret_scanning", &["action", "exemption_request"]),
    ("fork", &["forkee", "repository"]),
    ("github_app_authorization", &["action", "sender"]),
    ("gollum", &["pages", "repository"]),
    ("installation", &["action", "installation"]),
    ("installation_repositories", &["action", "repositories_added", "repositories_removed"]),
    ("installation_target", &["account", "action", "target_type"]),
    ("issue_comment", &["action", "comment", "issue"]),
    ("issue_dependencies", &["action", "blocked_issue", "blocking_issue"]),
    ("issues", &["action", "issue"]),
    ("label", &["action", "label"]),
    ("marketplace_purchase", &["action", "effective_date", "marketplace_purchase"]),
    ("member", &["action", "member"]),
    ("membership", &["action", "member", "scope", "team"]),
    ("merge_group", &["action", "merge_group"]),
    ("meta", &["action", "hook", "hook_id"]),
    ("milestone", &["action", "milestone"]),
    ("org_block", &["action", "blocked_user"]),
    ("organization", &["action", "organization"]),
    ("organization_custom_property", &["action", "definition", "enterprise"]),
    ("organization_custom_property_values", &["action", "enterprise", "new_property_values"]),
    ("package", &["action", "package"]),
    ("page_build", &["build", "id"]),
    ("personal_access_token_request", &["action", "personal_access_token_request"]),
    ("ping", &["zen"]),
    ("project", &["action", "project"]),
    ("project_card", &["action", "project_card"]),
    ("project_column", &["action", "project_column"]),
    ("projects_v2", &["action", "projects_v2"]),
    ("projects_v2_item", &["action", "projects_v2_item"]),
    ("projects_v2_status_update", &["action", "projects_v2_status_update"]),
    ("public", &["repository", "sender"]),
    ("pull_request", &["action", "number", "pull_request"]),
    ("pull_request_review", &["action", "pull_request", "review"]),
    ("pull_request_review_comment", &["action", "comment", "pull_request"]),
    ("pull_request_review_thread", &["action", "pull_request", "thread"]),
    ("push", &["after", "before", "pusher", "ref"]),
    ("registry_package", &["action", "registry_package"]),
    ("release", &["action", "release"]),
    ("repository", &["action"]),
    ("repository_advisory", &["action", "repository_advisory"]),
    ("repository_dispatch", &["action", "branch", "client_payload"]),
    ("repository_import", &["repository", "status"]),
    ("repository_ruleset", &["action", "repository_ruleset"]),
    ("repository_vulnerability_alert", &["action", "alert", "repository"]),
    ("secret_scanning_alert", &["action", "alert"]),
    ("secret_scanning_alert_location", &["action", "alert", "location"]),
    ("secret_scanning_scan", &["action", "source", "started_at", "type"]),
    ("security_advisory", &["action", "security_advisory"]),
    ("security_and_analysis", &["changes", "repository"]),
    ("sponsorship", &["action", "sponsorship"]),
    ("star", &["action", "repository", "starred_at"]),
    ("status", &["commit", "context", "sha", "state"]),
    ("sub_issues", &["action", "parent_issue_id", "sub_issue_id"]),
    ("team", &["action", "team"]),
    ("team_add", &["repository", "team"]),
    ("user", &["action"]),
    ("watch", &["action", "repository"]),
    ("workflow_dispatch", &["inputs", "ref", "workflow"]),
    ("workflow_job", &["action", "workflow_job"]),
    ("workflow_run", &["action", "workflow", "workflow_run"]),
];

/// What a body of the event must hold; nothing is known of other names.
pub(super) fn members_of(event: &str) -> &'static [&'static str] {
    let found = EVENTS.binary_search_by_key(&event, |(name, _)| name);
    found.map_or(&[], |at| EVENTS[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_order_each_with_its_members() {
        assert!(EVENTS.is_sorted_by(|a, b| a.0 < b.0), "found by halves: sort them");
        for (name, members) in EVENTS {
            assert!((1..=MEMBERS).contains(&members.len()), "{name}: {members:?}");
            assert!(members.is_sorted_by(|a, b| a < b), "{name}: {members:?}");
        }
        assert_eq!(members_of("issues"), ["action", "issue"]);
        assert_eq!(members_of("issue"), [""; 0]);
    }
}
