# shellcheck shell=bash disable=SC2034,SC2154  # read by ../backends, which sources this file
# How to get and run VictoriaMetrics, which takes samples in any order.
#
# Owns: version, ports, what tests learn of it, ready URL, command line.
# Does not: install, wait or stop; `backends` does that for every server alike.
#
# /internal/force_flush makes what was written visible at once.

version=1.79
ports=(HTTP)
exports=(
  "SIDEWAKE_TEST_VICTORIAMETRICS=http://127.0.0.1:@HTTP@"   # queries: /api/v1/query; /api/v1/write
)
ready=http://127.0.0.1:@HTTP@/health

install_server() { deb_unpack victoria-metrics; }

run_server() {
  local numbers
  read -ra numbers <ports
  exec "$bin/usr/bin/victoria-metrics" -storageDataPath=data \
    -httpListenAddr="127.0.0.1:${numbers[0]}" -search.latencyOffset=0s
}
