//! A message of the queue, and what can become of it.

/// A message as SQS delivered it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Named in the batch's answer when it shall be kept.
    pub id: String,
    /// Needed to hide it.
    pub receipt_handle: String,
    /// What it says.
    pub body: String,
    /// How often SQS has handed it out, this time included.
    pub receives: u32,
    /// Whether it came from the lane, the queue of slow routes.
    pub from_lane: bool,
}

/// The body's size: one that is no pointer may hold anything.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Delete it.
    Acknowledge,
    /// Keep it in the queue.
    Leave,
    /// Look at it again when the others are through.
    Suspect,
}
