//! An event as its targets take it, laid out once however many they are.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::event::Event;

/// The event's `CloudEvent`, shared by all of its routes: with a payload of megabytes and
/// thirty routes, one for each would be all of a function's memory. Made when it is first
/// asked for; whoever asks meanwhile waits for that.
#[derive(Clone, Default)]
pub struct Envelope(Arc<OnceLock<Bytes>>);

impl Envelope {
    /// The `CloudEvent` with its payload. `event` is the one that this envelope is of.
    #[must_use]
    pub fn cloudevent(&self, event: &Event) -> Bytes {
        self.0.get_or_init(|| event.to_cloudevent().into()).clone()
    }
}

/// Its size: payloads stay out of logs.
impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Envelope").field(&self.0.get().map(Bytes::len)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;

    #[test]
    fn all_routes_of_an_event_share_one_envelope() {
        let event = event("application/json", b"{\"card\":4242}");
        let envelope = Envelope::default();
        let routes = [envelope.clone(), envelope.clone()];
        let [first, second] = routes.map(|envelope| envelope.cloudevent(&event));
        assert_eq!(first.as_ptr(), second.as_ptr(), "it was laid out twice");
        assert_eq!(first, event.to_cloudevent());
        assert!(!format!("{envelope:?}").contains("4242"));
    }
}
