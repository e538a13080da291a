module github.com/causeway-iot/causeway/modules/fleet

go 1.26.0
