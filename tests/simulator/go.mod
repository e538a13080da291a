module github.com/causeway-iot/causeway/tests/simulator

go 1.26.0
