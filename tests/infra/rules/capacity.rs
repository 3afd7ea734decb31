//! What sources may take of the account, refused at plan where it is too much: by the
//! variables' own checks.

use hcl::Value;
use inbox_core::stack::stack;
use inbox_receiver::pipeline::REQUEST_TIMEOUT;

use crate::infra;
use crate::module::Module;
use crate::validations::refusals;

fn said(given: &Value) -> Vec<String> {
    let module = Module::read(&infra().join("modules/inbox"));
    refusals(&module, given.as_object().expect("a map"))
}

/// The one refusal, which must say this.
fn refused(given: &Value, expected: &str) {
    let found = said(given);
    assert!(found.len() == 1 && found[0].contains(expected), "{given}: {found:?}");
}

#[test]
fn the_time_that_a_request_may_take_is_the_receivers_own() {
    let own = u64::try_from(REQUEST_TIMEOUT.as_millis()).unwrap();
    assert_eq!(
        stack().defaults.request_timeout_ms,
        own,
        "stack.json's defaults.request_timeout_ms is what throttles are reckoned with: make it \
         pipeline.rs's REQUEST_TIMEOUT"
    );
}

/// A new account may reserve nothing, and Lambda keeps 100 in any other.
#[test]
fn reservations_that_lambda_would_refuse_are_refused_at_plan() {
    let with = |reserved: u32, account: u32| {
        hcl::value!({
            account_concurrency = account
            sources = {
                stripe = {
                    provider = "stripe"
                    reserved_concurrency = reserved
                    throttle = { requests_per_second = 1 }
                }
            }
        })
    };
    refused(&with(1, 10), "must leave 100 of account_concurrency (10)");
    refused(&with(901, 1000), "must leave 100 of account_concurrency (1000)");
    assert_eq!(said(&with(400, 1000)), [""; 0]);
}

/// At 2.5 s a request, twenty a second are fifty receivers at once.
#[test]
fn throttles_leave_half_of_the_account_when_the_table_is_slow() {
    let stripe = |rate: f64, account: u32| {
        hcl::value!({
            account_concurrency = account
            sources = { stripe = { provider = "stripe", throttle = { requests_per_second = rate } } }
        })
    };
    let too_much = "would take more than half of account_concurrency (1000)";
    assert_eq!(said(&stripe(200.0, 1000)), [""; 0]);
    refused(&stripe(200.1, 1000), too_much);
    assert_eq!(said(&stripe(200.1, 1001)), [""; 0]);
    // Twilio calls with two methods, and each has the rate.
    let twilio = |rate: u32| {
        hcl::value!({
            sources = { twilio = { provider = "twilio", throttle = { requests_per_second = rate } } }
        })
    };
    assert_eq!(said(&twilio(100)), [""; 0]);
    refused(&twilio(101), too_much);
    // A reservation is a limit too.
    let reserved = hcl::value!({
        sources = {
            stripe = {
                provider = "stripe"
                reserved_concurrency = 300
                throttle = { requests_per_second = 5000 }
            }
        }
    });
    assert_eq!(said(&reserved), [""; 0]);
}

#[test]
fn rates_bursts_and_warm_receivers_that_aws_would_refuse_are_refused_at_plan() {
    for (throttle, expected) in [
        (hcl::value!({ burst = 1.5 }), "a whole burst from 1 to 5000"),
        (hcl::value!({ burst = 5001 }), "a whole burst from 1 to 5000"),
        (hcl::value!({ burst = 0 }), "a whole burst from 1 to 5000"),
        (hcl::value!({ requests_per_second = 0 }), "requests_per_second above 0"),
    ] {
        let throttle: Value = throttle;
        refused(
            &hcl::value!({ sources = { stripe = { provider = "stripe", throttle = throttle } } }),
            expected,
        );
    }
    for (warm, reserved) in [(3, 2), (1, 0)] {
        let reserved = if reserved == 0 { Value::Null } else { reserved.into() };
        let warm: f64 = if reserved.is_null() { 0.5 } else { warm.into() };
        refused(
            &hcl::value!({
                sources = {
                    stripe = {
                        provider = "stripe"
                        provisioned_concurrency = warm
                        reserved_concurrency = reserved
                    }
                }
            }),
            "provisioned_concurrency of a source must be a whole number",
        );
    }
}

#[test]
fn a_log_level_that_would_fill_the_environment_is_refused() {
    let long = "x".repeat(257);
    refused(&hcl::value!({ log_level = long }), "log_level must be 1 to 256");
}
