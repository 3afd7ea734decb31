//! The endpoints: which are refused before anything is made, and what their receivers
//! are told.

use hcl::Value;

use super::planned;
use crate::infra;
use crate::module::Module;
use crate::plan::Plan;
use crate::validations::refusals;

#[test]
fn sources_that_cannot_work_are_refused_before_anything_is_made() {
    let module = Module::read(&infra().join("modules/inbox"));
    let said = |sources: Value| {
        let given = hcl::value!({ sources = sources });
        refusals(&module, given.as_object().expect("a map"))
    };
    for sources in [
        hcl::value!({ gh = { provider = "github", hook_ids = ["292430182", "7"] } }),
        // A digit or an underscore begins no parameter's name.
        hcl::value!({
            sms = { provider = "twilio" }
            sms2 = { provider = "twilio" }
            sms_eu = { provider = "twilio" }
        }),
        hcl::value!({ sms = { provider = "stripe" }, smsb = { provider = "twilio" } }),
    ] {
        assert_eq!(said(sources.clone()), [""; 0], "{sources:?}");
    }
    for (sources, expected) in [
        (
            hcl::value!({ sms = { provider = "twilio" }, smsb = { provider = "twilio" } }),
            "is that of the other with a letter behind it",
        ),
        (
            hcl::value!({ gh = { provider = "github", hook_ids = ["all"] } }),
            "hook_ids must be the hooks' numbers",
        ),
        (
            hcl::value!({ pay = { provider = "stripe", hook_ids = ["7"] } }),
            "hook_ids is for a provider that says which hook",
        ),
    ] {
        let found = said(sources.clone());
        assert!(found.iter().any(|it| it.contains(expected)), "{sources:?}: {found:?}");
    }
}

#[test]
fn a_match_says_source_or_provider_and_no_third() {
    let module = Module::read(&infra().join("modules/inbox"));
    let said = |matching: &str| {
        let matching = matching.to_owned();
        let routes = hcl::value!([{ id = "a", match = matching, handler = "mirror" }]);
        let given = hcl::value!({ processor = { routes = routes } });
        refusals(&module, given.as_object().expect("a map"))
    };
    for good in ["github:push", "source/github:push", "provider/github:*", "*:*", "a:b/c:d"] {
        assert_eq!(said(good), [""; 0], "{good}");
    }
    for wrong in ["sorce/github:push", "source/:push", "github", ":push", "source/a/b:push"] {
        let found = said(wrong);
        assert!(found.iter().any(|it| it.contains("match of a route")), "{wrong}: {found:?}");
    }
}

/// A variable of a function's environment, by the function's name.
fn setting<'a>(plan: &'a Plan, function: &str, name: &str) -> &'a str {
    let found = plan.functions().into_iter().find(|(_, it)| it.values["function_name"] == function);
    let (_, found) = found.expect("a function of this name");
    found.values["environment"][0]["variables"][name].as_str().unwrap_or_default()
}

#[test]
fn while_a_source_moves_its_receiver_knows_both_addresses() {
    let domain = |keeps: bool| {
        planned(&hcl::value!({
            sources = {
                sms = { provider = "twilio" }
                pinned = { provider = "twilio", public_base_url = "https://front.example.com" }
                code = { provider = "github", hook_ids = ["7", "42"] }
            }
            custom_domain = {
                name = "hooks.example.com"
                certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
                keeps_default_endpoint = keeps
            }
        }))
    };
    let own = "<aws_apigatewayv2_api.this.api_endpoint>";
    let moving = domain(true);
    let url = |plan, source: &str| {
        setting(plan, &format!("webhook-inbox-receiver-{source}"), "PUBLIC_BASE_URL").to_owned()
    };
    assert_eq!(url(&moving, "sms"), format!("https://hooks.example.com,{own}"));
    // Who says an address says all of them.
    assert_eq!(url(&moving, "pinned"), "https://front.example.com");
    assert_eq!(url(&domain(false), "sms"), "https://hooks.example.com");
    let hooks = setting(&moving, "webhook-inbox-receiver-code", "HOOK_IDS");
    assert_eq!(hooks.split(',').count(), 2, "{hooks}");
    assert_eq!(setting(&moving, "webhook-inbox-receiver-sms", "HOOK_IDS"), "");
    assert_eq!(setting(&moving, "webhook-inbox-processor", "SOURCES"), "code,pinned,sms");
}
