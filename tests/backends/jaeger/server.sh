# shellcheck shell=bash disable=SC2034,SC2154  # read by ../backends, which sources this file
# How to get and run Jaeger v2: the OpenTelemetry Collector with Jaeger's storage and queries.
#
# Owns: version, ports, what tests learn of it, ready URL, command line.
# Does not: install, wait or stop; `backends` does that for every server alike.
#
# On two cores: built in 9 minutes when nothing is cached, ready in 0.3 s, 85 MB.

version=1.76.0                  # of the module; the server calls itself 2.13
ports=(QUERY QUERY_GRPC HEALTH OTLP_GRPC OTLP_HTTP COMPACT BINARY THRIFT)
exports=(
  "SIDEWAKE_TEST_JAEGER=http://127.0.0.1:@QUERY@"           # queries: /api/v3/traces/ID
  "SIDEWAKE_TEST_JAEGER_OTLP=http://127.0.0.1:@OTLP_GRPC@"
  "SIDEWAKE_TEST_JAEGER_OTLP_HTTP=http://127.0.0.1:@OTLP_HTTP@"
  # Its own receivers of Thrift, to compare with ours: UDP, UDP, HTTP.
  "SIDEWAKE_TEST_JAEGER_COMPACT=127.0.0.1:@COMPACT@"
  "SIDEWAKE_TEST_JAEGER_BINARY=127.0.0.1:@BINARY@"
  "SIDEWAKE_TEST_JAEGER_THRIFT=http://127.0.0.1:@THRIFT@/api/traces"
)
ready=http://127.0.0.1:@HEALTH@/status
config=(jaeger.yaml)
sources=(go.mod go.sum)         # what the binary is made of: it is built again when one changes

install_server() { go_build 1.26.5 github.com/jaegertracing/jaeger/cmd/jaeger; }

run_server() { exec "$bin/jaeger" --config=jaeger.yaml; }
