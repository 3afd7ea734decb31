//! See the table in `src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: inbox_fuzz::seeds::write("gateway"),
    |data: &[u8]| inbox_fuzz::providers::gateway::run(data)
);
