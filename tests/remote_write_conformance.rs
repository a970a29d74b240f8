//! What remote write demands of a sender, demand by demand, of the real binary: each test has the
//! name of one. Metrics go in by OTLP. Runnable on its own; needs nothing but the binary.
//!
//! Source: Prometheus Remote-Write 1.0 and 2.0; the compliance suite for senders of
//! `prometheus/compliance`.

#[path = "daemon/http.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod http;
#[path = "daemon/rig.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod rig;

#[path = "remote_write_conformance/answers.rs"]
mod answers;
#[path = "remote_write_conformance/content.rs"]
mod content;
#[path = "remote_write_conformance/form.rs"]
mod form;
#[path = "remote_write_conformance/served.rs"]
mod served;

#[path = "support/fake_remote_write.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon, which use more of it")]
mod fake_remote_write;
#[path = "otlp_proto/messages.rs"]
mod otlp_proto;
#[path = "remote_write_proto/messages.rs"]
mod remote_write_proto;
