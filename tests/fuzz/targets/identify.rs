//! See the table in `src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: inbox_fuzz::seeds::write("identify"),
    |data: &[u8]| inbox_fuzz::providers::identify::run(data)
);
