//! Coverage-guided fuzzing of everything that reads what others send.
//!
//! ```text
//! tests/fixtures/ ─ src/seeds.rs ─▶ .local/fuzz/corpus/TARGET/ ─▶ targets/TARGET.rs
//!                                              ▲                        │
//!                                              └── inputs that reach ◀──┤
//!                                                  code not seen yet    ▼
//!                                                       a function here panics:
//!                                                       .local/fuzz/artifacts/TARGET/
//! ```
//!
//! | target | input | what must hold |
//! |---|---|---|
//! | `gateway` | API Gateway's event | no panic; nothing unsigned is kept |
//! | `verify` | provider, raw HTTP | no panic; never accepted, since the secret is ours |
//! | `mutated` | fixture, script | accepted only as what was signed |
//! | `identify` | provider, headers, body; signed here | no panic; kept as read, and its message names it |
//! | `envelope` | a queue's message | no panic; what is read is what was written |
//! | `item` | a table's answer | an error or a record, never a panic |
//! | `form` | a form | read as another reader reads it |
//! | `captured` | a captured request, a line of many | no panic; no word of a secret |
//!
//! What is true of all providers stands in `providers/`, which borrows facts,
//! deliveries and alterations from the receiver's own tests: a new provider is
//! fuzzed as soon as it has its folder of fixtures.

pub mod envelope;
pub mod item;
pub mod operator;
pub mod providers;
pub mod seeds;

/// The input's first byte and the rest: a choice, and what it is about.
fn choice(data: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((usize::from(*first), rest))
}

/// Runs a future to its end on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
