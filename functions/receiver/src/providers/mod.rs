//! The registry of providers: one file and one line here for each.
//!
//! The name is the same everywhere: file, registry, Terraform, route, fixtures.
//! What a new one must bring is checked by the tests below: a folder of
//! fixtures that it identifies fully, a signature that it can make itself, and
//! the properties in `properties.rs` and `bad_input.rs`. What those must know of
//! it stands in the same folder, in `provider.json`, so that no test has a
//! table of providers to extend.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod facts;
#[cfg(test)]
mod fixtures;
mod github;
#[cfg(test)]
mod mutated;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod smuggling;
mod standard_webhooks;
mod stripe;
#[cfg(test)]
mod testing;
mod twilio;
#[cfg(test)]
mod vectors;

use std::sync::Arc;

use inbox_core::provider::Provider;
use inbox_core::request::{Request, Verified};

type Entry = (&'static str, fn() -> Arc<dyn Provider>);

/// By name, in order.
const REGISTRY: &[Entry] = &[
    (github::NAME, || Arc::new(github::GitHub)),
    (standard_webhooks::NAME, || Arc::new(standard_webhooks::StandardWebhooks)),
    (stripe::NAME, || Arc::new(stripe::Stripe)),
    (twilio::NAME, || Arc::new(twilio::Twilio)),
];

const _: () = assert!(in_order(REGISTRY), "providers stand in order of name, each once");

/// The provider of this name.
#[must_use]
pub fn find(name: &str) -> Option<Arc<dyn Provider>> {
    REGISTRY.iter().find(|(known, _)| *known == name).map(|(_, make)| make())
}

/// The provider of this name, or what to tell the operator.
///
/// # Errors
///
/// Names the providers that there are.
pub fn require(name: &str) -> Result<Arc<dyn Provider>, UnknownProvider> {
    find(name).ok_or_else(|| UnknownProvider { name: name.to_owned() })
}

/// All names, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    REGISTRY.iter().map(|(name, _)| *name)
}

/// There is no provider of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider {name:?}: known are {}", names().collect::<Vec<_>>().join(", "))]
pub struct UnknownProvider {
    /// The name asked for.
    pub name: String,
}

/// Whether each name is greater than the one before it, which also says that
/// none is there twice. Evaluated by the compiler.
const fn in_order(registry: &[Entry]) -> bool {
    let mut at = 1;
    while at < registry.len() {
        if !is_less(registry[at - 1].0.as_bytes(), registry[at].0.as_bytes()) {
            return false;
        }
        at += 1;
    }
    true
}

const fn is_less(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return left[at] < right[at];
        }
        at += 1;
    }
    left.len() < right.len()
}

/// A header that is used as an id or a name: visible ASCII of at most 255
/// bytes. Some of these headers are not signed, so anything may stand there;
/// what does not look like an id reads as missing.
fn header_name_or_id(request: &Request<Verified>, name: &str) -> Option<String> {
    const LONGEST_BYTES: usize = 255;
    let value = request.header(name)?;
    let usable = (1..=LONGEST_BYTES).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_graphic());
    usable.then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use inbox_core::stack::{ProviderFacts, stack};

    #[test]
    fn every_provider_is_found_by_its_own_name() {
        let found: Vec<_> = names().map(|name| find(name).unwrap().name()).collect();
        assert_eq!(found, names().collect::<Vec<_>>());
    }

    #[test]
    fn what_terraform_is_told_of_the_providers_is_what_their_files_say() {
        let said = names().map(|name| {
            let provider = find(name).unwrap();
            let methods = provider.methods().iter().map(ToString::to_string).collect();
            let (signs_url, names_hook) = (provider.signs_url(), provider.names_hook());
            (name.to_owned(), ProviderFacts { methods, signs_url, names_hook })
        });
        assert_eq!(stack().providers, said.collect(), "infra/stack.json, providers");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        assert!(find("Stripe").is_none());
        let fault = require("strype").err().unwrap();
        let known = REGISTRY.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        assert_eq!(fault.to_string(), format!(r#"unknown provider "strype": known are {known}"#));
    }

    #[test]
    fn the_order_check_refuses_a_name_given_twice() {
        let make: fn() -> Arc<dyn Provider> = || Arc::new(stripe::Stripe);
        assert!(in_order(&[("a", make), ("ab", make), ("b", make)]));
        assert!(!in_order(&[("a", make), ("a", make)]));
        assert!(!in_order(&[("b", make), ("ab", make)]));
    }

    #[test]
    fn no_provider_keeps_a_header_that_could_let_somebody_in() {
        for name in names() {
            for header in find(name).unwrap().kept_headers() {
                assert_eq!(*header, header.to_ascii_lowercase(), "{name}");
                for forbidden in ["signature", "token", "auth", "cookie", "secret", "key"] {
                    assert!(!header.contains(forbidden), "{name} keeps {header}");
                }
            }
        }
    }
}
