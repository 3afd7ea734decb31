//! `notify`: tells the on-call channel.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use inbox_core::event::Event;
use inbox_core::handler::{Handled, Handler, HandlerError, Run};
use serde_json::Value;

use super::{Options, Resources};

struct Notify {
    channel: String,
}

pub(super) fn build(_: &Resources, with: &Value) -> Result<Arc<dyn Handler>, Vec<String>> {
    let mut options = Options::of(with);
    let channel = options.required_text("channel", "#billing").to_owned();
    options.finish()?;
    Ok(Arc::new(Notify { channel }))
}

impl Handler for Notify {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            // The payload, byte for byte; never log it.
            let Some(_json) = event.json() else {
                return Err(HandlerError::permanent("not JSON"));
            };
            // The same on every attempt, for receivers that deduplicate. Where they
            // fail, say `HandlerError::retry("…")`.
            let key = run.idempotency_key(event);
            tracing::info!(channel = self.channel, key, "told");
            Ok(Handled::Done)
        }
        .boxed()
    }
}
