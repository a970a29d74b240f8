// The Prometheus 3 that the tests start, as a module of its own.
//
// Owns: the version. go.sum beside it pins every byte. Prometheus's own go.mod replaces nothing.
// Does not: hold code. `go build MODULE/cmd/prometheus` builds the server's own main package.
module sidewake.test/backends/prometheus

go 1.26.7

require github.com/prometheus/prometheus v0.316.0
