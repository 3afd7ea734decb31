//! See the table in `src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: inbox_fuzz::seeds::write("envelope"),
    |data: &[u8]| inbox_fuzz::envelope::run(data)
);
