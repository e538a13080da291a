module github.com/causeway-iot/causeway/modules/causeway

go 1.26.0
