//! Secrets of routes that forward and name none: made here as `infra/` makes them, but
//! with a value, so that an endpoint on this machine can be tried at once.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

/// One route's secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForwardSecret {
    /// Its name in Secrets Manager.
    pub secret_id: String,
    /// What the endpoint verifies with: `whsec_` and base64.
    pub signing_secret: String,
}

impl ForwardSecret {
    /// The value that Secrets Manager keeps.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({ "signing_secrets": [self.signing_secret] })
    }
}

/// Names a secret in each route that forwards without one, and gives them by the route's
/// id. Keys are 32 bytes; `random` gives 16.
pub fn give(
    routes: &mut Value,
    mut random: impl FnMut() -> [u8; 16],
) -> BTreeMap<String, ForwardSecret> {
    let mut given = BTreeMap::new();
    for route in routes.as_array_mut().into_iter().flatten() {
        if route["handler"] != "forward" || !route["with"]["secret_id"].is_null() {
            continue;
        }
        let id = route["id"].as_str().unwrap_or_default().to_owned();
        let key = [random(), random()].concat();
        let secret = ForwardSecret {
            secret_id: format!("webhook-inbox/forward/{id}"),
            signing_secret: format!("whsec_{}", STANDARD.encode(key)),
        };
        if let Some(route) = route.as_object_mut()
            && let Some(with) = route.entry("with").or_insert_with(|| json!({})).as_object_mut()
        {
            with.insert("secret_id".to_owned(), secret.secret_id.clone().into());
            given.insert(id, secret);
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_routes_that_forward_without_a_secret_get_one() {
        let mut routes = json!([
            { "id": "mine", "match": "*:*", "handler": "forward", "with": { "url": "http://a" } },
            { "id": "named", "match": "*:*", "handler": "forward", "with": { "secret_id": "b" } },
            { "id": "mirror", "match": "*:*", "handler": "mirror" },
        ]);
        let before = routes.clone();
        let given = give(&mut routes, || [7; 16]);
        let signing_secret = format!("whsec_{}", STANDARD.encode([7; 32]));
        let secret_id = "webhook-inbox/forward/mine".to_owned();
        assert_eq!(
            given,
            BTreeMap::from([("mine".to_owned(), ForwardSecret { secret_id, signing_secret })])
        );
        assert_eq!(
            routes[0]["with"],
            json!({ "url": "http://a", "secret_id": "webhook-inbox/forward/mine" })
        );
        assert_eq!((&routes[1], &routes[2]), (&before[1], &before[2]));
    }

    #[test]
    fn what_is_no_list_of_routes_is_left_to_the_processor() {
        for mut odd in
            [json!({}), json!("x"), json!([1, null, { "handler": "forward", "with": 1 }])]
        {
            let before = odd.clone();
            assert_eq!(give(&mut odd, || [7; 16]), BTreeMap::new());
            assert_eq!(odd, before);
        }
    }
}
