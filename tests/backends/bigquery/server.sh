# shellcheck shell=bash disable=SC2034,SC2154  # read by ../backends, which sources this file
# How to get and run an emulator of BigQuery: its REST API, and Storage Write over gRPC.
#
# Owns: version, ports, what tests learn of it, ready URL, command line.
# Does not: install, wait or stop; `backends` does that for every server alike.
#
# It checks offsets, and reads back what it was sent, also as JSON and by partition. It does not check
# REQUIRED columns, quotas or who asks, says nothing of rows that are bad or of schemas that changed,
# and no partition of it expires: for these there is tests/support/fake_bigquery.rs.
#
# On two cores: installed in a minute, ready in 3 s, 200 MB.

version=1.4.0
ports=(REST GRPC)
exports=(
  "SIDEWAKE_TEST_BIGQUERY=http://127.0.0.1:@REST@"          # tables, queries: /bigquery/v2/projects/P
  "SIDEWAKE_TEST_BIGQUERY_GRPC=http://127.0.0.1:@GRPC@"     # google.cloud.bigquery.storage.v1
)
ready=http://127.0.0.1:@REST@/readyz
sources=(requirements.txt)      # what it is made of: it is installed again when one changes

install_server() {
  local python=$work/out/bin/python
  command -v python3 >/dev/null || could_not_get "there is no python3"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || could_not_get "it wants Python 3.11 or newer"
  step "python venv" python3 -m venv "$work/out"
  step "pip install" "$python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --requirement "$here/$name/requirements.txt"
  # DuckDB looks for its extensions in a home.
  step "DuckDB's extension" env HOME="$work/out" "$python" -c \
    'import duckdb_extensions; duckdb_extensions.import_extension("spatial")'
}

run_server() {
  local numbers
  read -ra numbers <ports
  mkdir -p data
  HOME=$bin exec "$bin/bin/python" "$here/bigquery/start.py" start --persistent --data-dir data --project test \
    --rest-port "${numbers[0]}" --grpc-port "${numbers[1]}" --log-level warning
}
