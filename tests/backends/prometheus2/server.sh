# shellcheck shell=bash disable=SC2034,SC2154  # read by ../backends, which sources this file
# How to get and run Prometheus 2.42, a receiver that knows remote write 1.0 only.
#
# Owns: version, ports, what tests learn of it, ready URL, command line.
# Does not: install, wait or stop; `backends` does that for every server alike.
#
# It takes 2.0 for an empty request of 1.0 and answers 204. Native histograms are off: one of them is
# 500, "native histograms are disabled", for the whole request.

version=2.42
ports=(HTTP)
exports=(
  "SIDEWAKE_TEST_PROMETHEUS2=http://127.0.0.1:@HTTP@"       # queries: /api/v1/query; /api/v1/write
)
ready=http://127.0.0.1:@HTTP@/-/ready
config=(prometheus.yml)

install_server() { deb_unpack prometheus; }

run_server() {
  local numbers
  read -ra numbers <ports
  exec "$bin/usr/bin/prometheus" --config.file=prometheus.yml --storage.tsdb.path=data \
    --web.listen-address="127.0.0.1:${numbers[0]}" --web.enable-remote-write-receiver \
    --enable-feature=exemplar-storage
}
