//! An operator who deals with dead letters while the storm goes on.

use std::sync::Arc;

use inbox_core::Timestamp;
use inbox_core::ledger::{Ledger as _, Reopen, Reopening, Rerun, Settled, State};
use inbox_core::queue::Pointer;

use super::run::World;

/// What is done about an event that died in its first life.
#[derive(Clone, Copy, Debug)]
enum Act {
    Leave,
    Redrive,
    Replay,
}

const ACTS: [(u64, Act); 3] = [(3, Act::Leave), (4, Act::Redrive), (3, Act::Replay)];

/// Looks through the dead letters that are visible. Each is noted, and none is acted on
/// twice.
pub(super) async fn look_through(world: &Arc<World>) {
    while look(world).await {}
}

/// Whether there were any.
async fn look(world: &Arc<World>) -> bool {
    let letters = world.stage.receive(&world.stage.bed.dlq_url).await;
    let were_any = !letters.is_empty();
    for letter in letters {
        let body = letter.body().unwrap_or_default().to_owned();
        let Ok(pointer) = Pointer::parse(&body) else {
            world.wrong(format!("a dead letter that nobody can read: {body}"));
            continue;
        };
        let number = world.number_of(&letter).unwrap_or_default();
        let is_new = world.note_letter(&pointer.key.to_string(), pointer.life);
        if !is_new || pointer.life != 2 || world.is_settling() {
            continue;
        }
        let act = world.dice.pick(&ACTS, &[&"operate", &number]);
        match act {
            Act::Leave => {}
            Act::Redrive => {
                world.stage.send(&body).await;
                world.stage.delete(&world.stage.bed.dlq_url, &letter).await;
                world.count(|counts| counts.redriven += 1);
            }
            Act::Replay => replay(world, &pointer).await,
        }
    }
    were_any
}

async fn replay(world: &Arc<World>, pointer: &Pointer) {
    let record = world.stage.ledger.get(&pointer.key).await.expect("the ledger");
    let Some(record) = record.filter(|it| it.state == State::Dead) else { return };
    let now = Timestamp::now();
    let reopening = Reopening {
        record: &record,
        cause: Reopen::Replay { seen: record.life, rerun: Rerun::Unfinished },
        actor: "chaos",
        reason: "a rehearsal",
        request_id: &uuid::Uuid::new_v4().to_string(),
        due_at: now,
        expires_at: record.expires_at,
    };
    let reopened = world.stage.ledger.reopen(&reopening, now).await.expect("the ledger");
    if reopened == Settled::Written {
        world.stage.send(&Pointer::body(&record.event, record.life + 1)).await;
        world.count(|counts| counts.replayed += 1);
    }
}
