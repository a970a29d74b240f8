// The Tempo that the tests start, as a module of its own.
//
// Owns: the version, and the replacements that Tempo's own go.mod makes: a dependency's `replace`
// lines count only in its own checkout, so they are repeated here. go.sum beside it pins every byte.
// Does not: hold code. `go build MODULE/cmd/tempo` builds the server's own main package.
//
// The version is a commit between 2.7 and 2.8: Tempo's tags of the 2.x line are no Go module
// versions (the module path has no /v2).
module sidewake.test/backends/tempo

go 1.26.5

require github.com/grafana/tempo v1.5.1-0.20250529124718-87c2dc380cec

replace (
	github.com/hashicorp/memberlist => github.com/grafana/memberlist v0.3.1-0.20220708130638-bd88e10a3d91
	k8s.io/api => k8s.io/api v0.25.0
	k8s.io/client-go => k8s.io/client-go v0.25.0
)
