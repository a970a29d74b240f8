//! The whole daemon as its users meet it: the real binary, its config in a folder of its own, real
//! children and files, and a Loki on loopback. Random rounds print their seed; `SIDEWAKE_SEED`
//! repeats one, `SIDEWAKE_SLOW=1` runs many.

#[path = "daemon/admin.rs"]
mod admin;
#[path = "daemon/bigquery.rs"]
mod bigquery;
#[path = "daemon/damage.rs"]
mod damage;
#[path = "daemon/deltas.rs"]
mod deltas;
#[path = "daemon/derived.rs"]
mod derived;
#[path = "daemon/disks.rs"]
mod disks;
#[path = "daemon/exec.rs"]
mod exec;
#[path = "daemon/faults.rs"]
mod faults;
#[path = "daemon/files.rs"]
mod files;
#[path = "daemon/http.rs"]
mod http;
#[path = "daemon/jaeger.rs"]
mod jaeger;
#[path = "daemon/kills.rs"]
mod kills;
#[path = "daemon/latency.rs"]
mod latency;
#[path = "daemon/leaks.rs"]
mod leaks;
#[path = "daemon/loki.rs"]
mod loki;
#[path = "daemon/memory.rs"]
mod memory;
#[path = "daemon/notify.rs"]
mod notify;
#[path = "daemon/otlp.rs"]
mod otlp;
#[path = "daemon/otlp_kills.rs"]
mod otlp_kills;
#[path = "daemon/otlp_memory.rs"]
mod otlp_memory;
#[path = "daemon/outage.rs"]
mod outage;
#[path = "daemon/promtool.rs"]
mod promtool;
#[path = "daemon/real.rs"]
mod real;
#[path = "daemon/reload.rs"]
mod reload;
#[path = "daemon/remote_write.rs"]
mod remote_write;
#[path = "daemon/rig.rs"]
#[allow(dead_code, reason = "tests to come use more of it")]
mod rig;
#[path = "daemon/sampling.rs"]
mod sampling;
#[path = "daemon/scrape.rs"]
mod scrape;
#[path = "daemon/show.rs"]
mod show;
#[path = "daemon/shutdown.rs"]
mod shutdown;
#[path = "daemon/sick_disks.rs"]
mod sick_disks;
#[path = "daemon/spool.rs"]
mod spool;
#[path = "daemon/window.rs"]
mod window;

#[path = "bigquery_proto/messages.rs"]
mod bigquery_proto;
#[path = "support/fake_bigquery.rs"]
#[allow(dead_code, reason = "shared with the tests of the fake, which use more of it")]
mod fake_bigquery;
#[path = "support/fake_loki.rs"]
#[allow(dead_code, reason = "shared with the tests of delivery, which use more of it")]
mod fake_loki;
#[path = "support/fake_otlp.rs"]
#[allow(dead_code, reason = "tests to come use more of it")]
mod fake_otlp;
#[path = "support/fake_remote_write.rs"]
#[allow(dead_code, reason = "shared with the tests of conformance, which use more of it")]
mod fake_remote_write;
#[path = "support/logproto.rs"]
mod logproto;
#[path = "support/otlp_client.rs"]
#[allow(dead_code, reason = "tests to come use more of it")]
mod otlp_client;
#[path = "otlp_proto/messages.rs"]
mod otlp_proto;
#[path = "remote_write_proto/messages.rs"]
mod remote_write_proto;
#[path = "support/watched.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod watched;
