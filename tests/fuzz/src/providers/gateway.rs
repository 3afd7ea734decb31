//! API Gateway's event, as anybody could make it.

use inbox_receiver::config::Dedup;
use inbox_receiver::gateway::GatewayEvent;

use super::endpoint;
use super::testing;

/// Nothing that is not signed is kept, and nothing panics.
///
/// # Panics
///
/// When it is.
pub fn run(data: &[u8]) {
    let read = || serde_json::from_slice::<GatewayEvent>(data);
    if read().is_err() {
        return;
    }
    for sample in testing::all() {
        let event = read().expect("read a moment ago");
        let (reply, kept, sent) = endpoint::receive(&sample, event, Dedup::Id);
        assert!(!reply.status.is_success(), "{}", sample.provider.name());
        assert!(kept.is_empty() && sent.is_empty(), "{}", sample.provider.name());
    }
}
