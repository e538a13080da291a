module github.com/causeway-iot/causeway/tests/bench

go 1.26.0

replace github.com/causeway-iot/causeway/tests/simulator => ../simulator

require (
	github.com/Azure/go-amqp v1.7.0
	github.com/causeway-iot/causeway/tests/simulator v0.0.0-00010101000000-000000000000
)

require go.uber.org/goleak v1.3.0
