module github.com/causeway-iot/causeway/tests

go 1.26.0
