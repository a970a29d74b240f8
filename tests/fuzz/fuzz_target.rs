//! Every binary of the fuzzer: runs the target that has the binary's name.
#![no_main]

mod targets;

use libfuzzer_sys::fuzz_target;

macro_rules! target {
    ($($name:ident: $run:path,)*) => {
        /// The target of this binary.
        fn run(bytes: &[u8]) {
            match env!("CARGO_BIN_NAME") {
                $(stringify!($name) => $run(bytes),)*
                name => panic!("targets.rs has no target {name}"),
            }
        }
    };
}
targets::for_each_target!(target);

fuzz_target!(|bytes: &[u8]| run(bytes));
