// The Jaeger that the tests start, as a module of its own.
//
// Owns: the version, and the replacement that Jaeger's own go.mod makes: a dependency's `replace`
// lines count only in its own checkout, so it is repeated here. go.sum beside it pins every byte.
// Does not: hold code. `go build MODULE/cmd/jaeger` builds the server's own main package.
module sidewake.test/backends/jaeger

go 1.26.5

require github.com/jaegertracing/jaeger v1.76.0

replace github.com/Shopify/sarama => github.com/Shopify/sarama v1.33.0
