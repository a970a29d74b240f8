# shellcheck shell=bash disable=SC2034,SC2154  # read by ../backends, which sources this file
# How to get and run Tempo.
#
# Owns: version, ports, what tests learn of it, ready URL, command line.
# Does not: install, wait or stop; `backends` does that for every server alike.
#
# On two cores: built in 8 minutes when nothing is cached, ready in 0.3 s, 101 MB.
#
# What it does not say, for tests: asked for a trace that it has not, /api/v2/traces answers 200 and an
# empty trace, /api/traces 404. Without a tenant a request is UNAVAILABLE, "no org id". What exceeds
# max_traces_per_user or max_bytes_per_trace is answered with success and dropped.

version=2.8-0.20250529124718
ports=(HTTP GRPC OTLP_GRPC OTLP_HTTP)
exports=(
  "SIDEWAKE_TEST_TEMPO=http://127.0.0.1:@HTTP@"             # queries: /api/v2/traces/ID, /api/search
  "SIDEWAKE_TEST_TEMPO_OTLP=http://127.0.0.1:@OTLP_GRPC@"
  "SIDEWAKE_TEST_TEMPO_OTLP_HTTP=http://127.0.0.1:@OTLP_HTTP@"
)
ready=http://127.0.0.1:@HTTP@/ready
config=(tempo.yaml overrides.yaml)
sources=(go.mod go.sum)         # what the binary is made of: it is built again when one changes
stop_within=1                   # it takes long over SIGTERM, and what it holds is a test's

install_server() { go_build 1.26.5 github.com/grafana/tempo/cmd/tempo; }

run_server() { exec "$bin/tempo" -config.file=tempo.yaml; }
