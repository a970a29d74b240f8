//! What OTLP demands of a server, demand by demand, of the real binary: each row and each test has
//! the name of one. Runnable on its own; needs nothing but the binary.
//!
//! Source: OTLP specification 1.11, gRPC over HTTP/2, `google.rpc.Status` and `RetryInfo`.
//! Deliberately leaves out what `tests/daemon/otlp*.rs` hold: what comes out, outages, kills.

#[path = "daemon/http.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod http;
#[path = "daemon/rig.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod rig;

#[path = "otlp_conformance/by_grpc.rs"]
mod by_grpc;
#[path = "otlp_conformance/by_http.rs"]
mod by_http;
#[path = "otlp_conformance/hostile.rs"]
mod hostile;
#[path = "otlp_conformance/json.rs"]
mod json;
#[path = "otlp_conformance/served.rs"]
mod served;
#[path = "otlp_conformance/tls.rs"]
mod tls;

#[path = "support/fake_otlp.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod fake_otlp;
#[path = "support/otlp_client.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod otlp_client;
#[path = "otlp_proto/messages.rs"]
mod otlp_proto;
#[path = "support/watched.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod watched;
