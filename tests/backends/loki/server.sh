# shellcheck shell=bash disable=SC2034,SC2154  # read by ../backends, which sources this file
# How to get and run Loki.
#
# Owns: version, ports, what tests learn of it, ready URL, command line.
# Does not: install, wait or stop; `backends` does that for every server alike.
#
# On two cores: built in 5.5 minutes when nothing is cached, ready in 0.5 s, stopped in 0.6 s, 157 MB.

version=3.7.8
ports=(HTTP GRPC)
exports=("SIDEWAKE_TEST_LOKI=http://127.0.0.1:@HTTP@")
ready=http://127.0.0.1:@HTTP@/ready
config=(loki.yaml overrides.yaml)
sources=(go.mod go.sum)         # what the binary is made of: it is built again when one changes

install_server() { go_build 1.26.5 github.com/grafana/loki/v3/cmd/loki; }

run_server() { exec "$bin/loki" -config.file=loki.yaml; }
