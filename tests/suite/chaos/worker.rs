//! A function's process that is started anew whenever it has ended.

use std::sync::Arc;

use inbox_local::runtime_api::{FunctionHost, InvokeError};
use serde_json::Value;

use super::run::World;
use super::stage::DEADLINE;
use super::subject::Source;

/// What `drill` leaves the process with, and what a kill does.
const EXPECTED_ENDS: [&str; 2] = ["exit status: 70", "signal: 9 (SIGKILL)"];

#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Receiver(Source),
    Processor,
    Sweeper,
}

/// One execution environment after another.
pub(super) struct Worker {
    role: Role,
    pub(super) label: String,
    generation: u32,
    host: Option<FunctionHost>,
}

impl Worker {
    pub(super) fn new(role: Role, number: usize) -> Self {
        let label = match role {
            Role::Receiver(source) => format!("receiver-{}-{number}", source.name()),
            Role::Processor => format!("processor-{number}"),
            Role::Sweeper => format!("sweeper-{number}"),
        };
        Self { role, label, generation: 0, host: None }
    }

    /// Hands an event over; none when the process died over it.
    pub(super) async fn invoke(&mut self, world: &Arc<World>, event: &Value) -> Option<Value> {
        if self.host.is_none() {
            self.host = Some(self.start(world).await);
        }
        let host = self.host.as_mut()?;
        world.count(|counts| counts.invocations += 1);
        match host.invoke_json(event, DEADLINE).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                let is_expected = matches!(&error, InvokeError::Exited { status }
                    if EXPECTED_ENDS.iter().any(|end| status.starts_with(end)));
                if !is_expected {
                    world.wrong(format!("{} {}: {error}", self.label, self.generation));
                }
                self.end(world).await;
                None
            }
        }
    }

    async fn start(&mut self, world: &Arc<World>) -> FunctionHost {
        self.generation += 1;
        let (stage, label) = (&world.stage, self.label.as_str());
        let host = match self.role {
            Role::Receiver(source) => stage.receiver(source, label).await,
            Role::Processor => stage.processor(label, "1").await,
            Role::Sweeper => stage.sweeper(label).await,
        };
        world.weather.born(label, self.generation, host.killer());
        host
    }

    /// Ends the process, and looks for panics in what it wrote: only a drill may.
    pub(super) async fn end(&mut self, world: &Arc<World>) {
        let Some(host) = self.host.take() else { return };
        host.kill().await;
        let output = host.output();
        let panics = output.lines().filter(|line| line.contains("panicked"));
        for line in panics.filter(|line| !line.contains("drill")) {
            world.wrong(format!("{} {}: {line}", self.label, self.generation));
        }
    }
}
