//! What is fuzzed: one function per parser, and the one list of them.
//!
//! Owns the properties that must hold on any bytes at all; mostly that two ways of reading the same
//! bytes agree, and that what was read can be written and read again. Shared by the fuzzer's binary
//! (`fuzz_target.rs`) and by `tests/fuzz_replay.rs`, which runs on stable Rust. Deliberately knows
//! nothing of either.
//!
//! To add a target: a function of `&[u8]` in a file under `targets/`, its name in the list below, a
//! `[[bin]]` in Cargo.toml, and at least one file in `corpus/NAME/`. A test compares the three.

#[path = "targets/config.rs"]
pub(crate) mod config;
#[path = "targets/files.rs"]
pub(crate) mod files;
#[path = "targets/frame.rs"]
pub(crate) mod frame;
#[path = "targets/jaeger.rs"]
pub(crate) mod jaeger;
#[path = "targets/json.rs"]
pub(crate) mod json;
#[path = "targets/oracle.rs"]
mod oracle;
#[path = "targets/otlp.rs"]
pub(crate) mod otlp;
#[path = "targets/pipeline.rs"]
pub(crate) mod pipeline;
#[path = "targets/prometheus.rs"]
pub(crate) mod prometheus;
#[path = "targets/protect.rs"]
pub(crate) mod protect;
#[path = "targets/raw.rs"]
mod raw;
#[path = "targets/remote_write.rs"]
pub(crate) mod remote_write;
#[path = "targets/sinks.rs"]
pub(crate) mod sinks;

/// Calls the given macro with every target: its name, and its function.
macro_rules! for_each_target {
    ($call:ident) => {
        $call! {
            json_walk: $crate::targets::json::walk_against_serde_json,
            json_skeleton: $crate::targets::json::skeleton_against_walk,
            json_prefilter: $crate::targets::json::prefilter_on_both_paths,
            json_spans: $crate::targets::sinks::json_spans,
            rows: $crate::targets::sinks::rows,
            frame: $crate::targets::frame::decode_and_encode,
            origin: $crate::targets::frame::origin,
            any_file: $crate::targets::files::any_file,
            cri: $crate::targets::files::cri,
            docker: $crate::targets::files::docker,
            jaeger_compact: $crate::targets::jaeger::compact,
            jaeger_binary: $crate::targets::jaeger::binary,
            jaeger_bare: $crate::targets::jaeger::bare,
            otlp_request: $crate::targets::otlp::request,
            otlp_json: $crate::targets::otlp::json,
            otlp_log_lines: $crate::targets::otlp::log_lines,
            prometheus_text: $crate::targets::prometheus::text,
            prometheus_openmetrics: $crate::targets::prometheus::openmetrics,
            prometheus_protobuf: $crate::targets::prometheus::protobuf,
            remote_write: $crate::targets::remote_write::bodies,
            time: $crate::targets::pipeline::times,
            condition: $crate::targets::pipeline::condition,
            line: $crate::targets::pipeline::line,
            token: $crate::targets::pipeline::token,
            tracestate: $crate::targets::pipeline::tracestate,
            inspect: $crate::targets::protect::inspect,
            prefilter_superset: $crate::targets::protect::prefilter_is_a_superset,
            planted: $crate::targets::protect::planted,
            replace_value: $crate::targets::protect::replace_value,
            field_pattern: $crate::targets::protect::field_pattern,
            config: $crate::targets::config::config,
            units: $crate::targets::config::units,
            key_file: $crate::targets::protect::key_file,
        }
    };
}
pub(crate) use for_each_target;
