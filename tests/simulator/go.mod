module github.com/causeway-iot/causeway/tests/simulator

go 1.26.0

require (
	github.com/Azure/go-amqp v1.7.0
	github.com/mochi-mqtt/server/v2 v2.7.9
	go.uber.org/goleak v1.3.0
)

require github.com/coder/websocket v1.8.15
