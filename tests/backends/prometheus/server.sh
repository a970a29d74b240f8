# shellcheck shell=bash disable=SC2034,SC2154  # read by ../backends, which sources this file
# How to get and run Prometheus 3 as a receiver of remote write 1.0 and 2.0.
#
# Owns: version, ports, what tests learn of it, ready URL, command line.
# Does not: install, wait or stop; `backends` does that for every server alike.
#
# It scrapes nothing. Without the tag every cloud's client for service discovery is built too.

version=3.16.0                  # the module calls it 0.316.0
ports=(HTTP)
exports=(
  "SIDEWAKE_TEST_PROMETHEUS=http://127.0.0.1:@HTTP@"        # queries: /api/v1/query; /api/v1/write
  "SIDEWAKE_TEST_PROMTOOL=@BIN@/promtool"                   # its linter, no server
)
ready=http://127.0.0.1:@HTTP@/-/ready
config=(prometheus.yml)
sources=(go.mod go.sum)         # what the binary is made of: it is built again when one changes
tags=remove_all_sd

install_server() {
  go_build 1.26.7 github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool
}

run_server() {
  local numbers
  read -ra numbers <ports
  exec "$bin/prometheus" --config.file=prometheus.yml --storage.tsdb.path=data \
    --web.listen-address="127.0.0.1:${numbers[0]}" --web.enable-remote-write-receiver \
    --web.enable-otlp-receiver \
    --enable-feature=exemplar-storage,native-histograms,created-timestamp-zero-ingestion,metadata-wal-records
}
