//! The worlds that are explored: each is small, and together they have
//! everything in it that can meet.

use crate::config::{Config, Handler};
use crate::world::{Again, Left};

const ALL: &[Again] = &[Again::Unfinished, Again::First, Again::All];

const fn left(deliveries: u8, faults: u8, acts: u8) -> Left {
    Left { deliveries, faults, acts }
}

/// Two processors, three messages, one handler, two attempts.
const TWO: Config = Config { processors: 2, messages: 3, ..Config::SMALL };
/// Two processors, two handlers.
const HANDLERS: Config = Config { routes: 2, messages: 2, ..TWO };

/// Those that every test run explores: a minute of one core for all.
pub const QUICK: [Config; 22] = [
    Config { name: "duplicates", left: left(2, 2, 0), ..TWO },
    Config { name: "three-faults", left: left(1, 3, 0), messages: 2, ..TWO },
    Config { name: "three-attempts", left: left(1, 2, 0), max_attempts: 3, ..TWO },
    Config { name: "two-handlers", left: left(1, 2, 0), ..HANDLERS },
    Config { name: "redrive", left: left(1, 2, 1), redrives: true, ..TWO },
    Config { name: "replay", left: left(2, 1, 1), replays: ALL, redrives: true, ..TWO },
    Config { name: "replay-two-handlers", left: left(1, 1, 1), replays: ALL, ..HANDLERS },
    Config {
        name: "two-acts",
        left: left(1, 1, 2),
        replays: &[Again::Unfinished, Again::All],
        redrives: true,
        messages: 2,
        ..TWO
    },
    Config { name: "forget", left: left(1, 2, 1), forgets: true, redrives: true, ..TWO },
    Config { name: "retention", left: left(2, 2, 0), expires: true, messages: 2, ..TWO },
    Config {
        name: "poison",
        left: left(1, 1, 1),
        handlers: [Handler::Poison; 2],
        replays: &[Again::Unfinished],
        redrives: true,
        ..TWO
    },
    Config {
        name: "one-handler-fails",
        left: left(1, 1, 1),
        handlers: [Handler::Willing, Handler::Broken],
        redrives: true,
        ..HANDLERS
    },
    Config {
        name: "both-handlers-fail",
        left: left(1, 1, 0),
        handlers: [Handler::Broken; 2],
        max_attempts: 3,
        ..HANDLERS
    },
    Config {
        name: "one-fails-one-turns",
        left: left(1, 1, 0),
        handlers: [Handler::Broken, Handler::Turns],
        max_attempts: 3,
        ..HANDLERS
    },
    Config {
        name: "one-fails-one-kills",
        left: left(1, 1, 1),
        handlers: [Handler::Broken, Handler::Poison],
        replays: &[Again::First],
        ..HANDLERS
    },
    Config { name: "left-for-later", left: left(1, 1, 0), deferrals: 2, ..TWO },
    Config {
        name: "left-for-later-one-fails",
        left: left(1, 1, 0),
        handlers: [Handler::Willing, Handler::Broken],
        deferrals: 1,
        messages: 2,
        ..HANDLERS
    },
    Config {
        name: "left-for-later-poison",
        left: left(1, 1, 0),
        handlers: [Handler::Poison; 2],
        deferrals: 2,
        ..TWO
    },
    Config {
        name: "route-added",
        left: left(1, 2, 1),
        adds: true,
        replays: &[Again::First],
        redrives: true,
        routes: 2,
        messages: 2,
        ..Config::SMALL
    },
    Config {
        name: "route-added-beside-another",
        left: left(1, 2, 0),
        adds: true,
        handlers: [Handler::Willing, Handler::Broken],
        processors: 2,
        routes: 2,
        messages: 2,
        ..Config::SMALL
    },
    Config {
        name: "route-removed",
        left: left(1, 2, 1),
        removes: true,
        replays: &[Again::Unfinished],
        routes: 2,
        messages: 2,
        ..Config::SMALL
    },
    Config {
        name: "weeks",
        left: left(1, 2, 1),
        ages: true,
        expires: true,
        replays: &[Again::Unfinished],
        redrives: true,
        messages: 2,
        ..Config::SMALL
    },
];

/// Those for which there is time on request, the smaller first.
pub const LARGE: [Config; 12] = [
    Config {
        name: "route-removed-and-redriven",
        left: left(1, 2, 1),
        removes: true,
        replays: ALL,
        redrives: true,
        routes: 2,
        messages: 2,
        ..Config::SMALL
    },
    Config {
        name: "weeks-three-faults",
        left: left(1, 3, 1),
        ages: true,
        expires: true,
        replays: &[Again::Unfinished],
        messages: 2,
        ..Config::SMALL
    },
    Config { name: "replay-two-faults", left: left(1, 2, 1), replays: ALL, redrives: true, ..TWO },
    Config {
        name: "replay-two-handlers-two-faults",
        left: left(1, 2, 1),
        replays: ALL,
        redrives: true,
        ..HANDLERS
    },
    Config { name: "two-handlers-three-faults", left: left(1, 3, 0), ..HANDLERS },
    Config {
        name: "two-acts-two-faults",
        left: left(1, 2, 2),
        replays: ALL,
        redrives: true,
        messages: 2,
        ..TWO
    },
    Config { name: "duplicates-three-faults", left: left(2, 3, 0), ..TWO },
    Config {
        name: "everything",
        left: left(2, 1, 2),
        replays: ALL,
        redrives: true,
        forgets: true,
        expires: true,
        messages: 2,
        ..TWO
    },
    Config { name: "four-faults", left: left(1, 4, 0), messages: 2, ..TWO },
    Config {
        name: "poison-two-handlers",
        left: left(1, 2, 1),
        handlers: [Handler::Willing, Handler::Poison],
        replays: ALL,
        redrives: true,
        messages: 3,
        ..HANDLERS
    },
    Config {
        name: "left-for-later-replay",
        left: left(2, 1, 1),
        replays: ALL,
        redrives: true,
        deferrals: 2,
        ..TWO
    },
    Config { name: "left-for-later-two-handlers", left: left(1, 2, 0), deferrals: 2, ..HANDLERS },
];
