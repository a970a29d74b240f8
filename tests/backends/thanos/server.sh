# shellcheck shell=bash disable=SC2034,SC2154  # read by ../backends, which sources this file
# How to get and run Thanos Receive, and the Query in front of it.
#
# Owns: version, ports, what tests learn of it, ready URL, command line.
# Does not: install, wait or stop; `backends` does that for every server alike.
#
# The server is Receive; Query is its child and ends with it. Out of order and "there already" is 409.
# Without the tag Receive panics.

version=0.42.0
ports=(WRITE HTTP GRPC QUERY QUERY_GRPC)
exports=(
  "SIDEWAKE_TEST_THANOS=http://127.0.0.1:@QUERY@"           # queries: /api/v1/query
  "SIDEWAKE_TEST_THANOS_WRITE=http://127.0.0.1:@WRITE@"     # /api/v1/receive
)
ready=http://127.0.0.1:@HTTP@/-/ready
sources=(go.mod go.sum)         # what the binary is made of: it is built again when one changes
tags=slicelabels

is_ready() {
  http_ok "$(fill_in <<<"$ready")" && http_ok "$(fill_in <<<http://127.0.0.1:@QUERY@/-/ready)"
}

install_server() { go_build 1.26.5 github.com/thanos-io/thanos/cmd/thanos; }

run_server() {
  local numbers server=$$
  read -ra numbers <ports
  {
    "$bin/thanos" query --endpoint="127.0.0.1:${numbers[2]}" \
      --http-address="127.0.0.1:${numbers[3]}" --grpc-address="127.0.0.1:${numbers[4]}" &
    while kill -0 "$server" 2>/dev/null && kill -0 $! 2>/dev/null; do sleep 0.5; done
    kill $! 2>/dev/null
  } &
  exec "$bin/thanos" receive --tsdb.path=data --label='replica="a"' --tsdb.max-exemplars=1000 \
    --tsdb.enable-native-histograms --remote-write.address="127.0.0.1:${numbers[0]}" \
    --http-address="127.0.0.1:${numbers[1]}" --grpc-address="127.0.0.1:${numbers[2]}"
}
