# Causeway. `make` alone lists what there is. Everything but image, image-test and interop needs only Go, gcc, git and make.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES  := modules/causeway modules/fleet tests tests/bench tests/simulator
PATTERNS := $(MODULES:%=./%/...)
BIN      := $(CURDIR)/bin
TOOLS    := $(CURDIR)/.tools
VERSION  := 0.1.0

GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)

FUZZTIME  ?= 20s
CHAOS     ?= 8m
CHAOS_SEED ?= random
BENCHTIME ?= 1s
BENCH     ?=
UPSTREAM  ?= Amqp
PLATFORM  ?= amd64

GOFLAGS_BUILD := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

##@ Run

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z][a-z0-9-]*:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: build ## run the simulator, the gateway and a fleet of devices; messages on the screen, Ctrl-C ends all
	@scripts/up

.PHONY: build
build: ## compile the gateway, the simulator and the fleet into ./bin
	go build $(GOFLAGS_BUILD) -o $(BIN)/causeway ./modules/causeway
	go build $(GOFLAGS_BUILD) -o $(BIN)/fleet ./modules/fleet
	go build $(GOFLAGS_BUILD) -o $(BIN)/simulator ./tests/simulator

##@ Check

.PHONY: test
test: ## everything that has to hold: unit, e2e, chaos and law tests with the race detector, and lint
	@$(MAKE) unit
	@$(MAKE) race-e2e
	@$(MAKE) -j2 --output-sync=target race-chaos static

.PHONY: unit
unit: ## unit tests, shuffled, with the race detector
	go test -race -shuffle=on -timeout 300s $$(go list $(PATTERNS) | grep -v -e /tests/e2e -e /tests/chaos -e /tests/law)

# The end-to-end cases use the machine's time, so they run on their own, after the rest; most of it they wait, so
# that eight at a time do not hinder one another. The chaos run keeps to its schedule beside what reads the source only.
.PHONY: race-e2e
race-e2e:
	go test -race -shuffle=on -parallel 8 -timeout 300s ./tests/e2e/...

.PHONY: race-chaos
race-chaos:
	go test -race -shuffle=on -timeout 300s ./tests/chaos/...

.PHONY: static
static: law lint

.PHONY: e2e
e2e: ## the whole product: real processes, real sockets; UPSTREAM=Mqtt (AmqpWs, MqttWs) over another protocol
	UPSTREAM=$(UPSTREAM) go test -shuffle=on -count=1 -v -parallel 4 -timeout 300s ./tests/e2e/...

# The schedule's seed is printed; CHAOS_SEED=<n> repeats it. What is part of make test is a cut of it, with seed 1.
.PHONY: chaos
chaos: ## break everything for ten minutes, and judge what is left; UPSTREAM=Mqtt as above
	CHAOS_SEED=$(CHAOS_SEED) UPSTREAM=$(UPSTREAM) go test -count=1 -v -timeout 1200s -run 'TestNothing|Early' ./tests/chaos -chaos $(CHAOS)

.PHONY: law
law: ## the rules of the repository itself: import directions, documents, manifests
	go test -shuffle=on -count=1 -timeout 180s ./tests/law/...

.PHONY: lint
lint: $(GOLANGCI) ## golangci-lint over all modules, at the pinned version
	@for module in $(MODULES); do \
		echo "lint $$module"; \
		(cd $$module && $(GOLANGCI) run --config $(CURDIR)/.golangci.yml ./...); \
	done

.PHONY: fmt
fmt: $(GOLANGCI) ## format all Go files
	@for module in $(MODULES); do (cd $$module && $(GOLANGCI) fmt --config $(CURDIR)/.golangci.yml ./...); done

.PHONY: tidy-check
tidy-check: ## go.mod and go.sum say exactly what is imported
	@for module in $(MODULES); do echo "tidy $$module"; (cd $$module && GOWORK=off go mod tidy -diff); done

.PHONY: interop
interop: build ## the simulator and the gateway against programs that nobody here wrote
	tests/interop/run

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s)
	@for package in $$(go list -f '{{.Dir}}' $(PATTERNS)); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$package/*_test.go 2>/dev/null | cut -c6-); do \
			echo "fuzz $${package#$(CURDIR)/} $$target"; \
			(cd $$package && go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) .); \
		done; \
	done

.PHONY: microbench
microbench: ## every Go benchmark, with allocations
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(PATTERNS)

# One protocol in every kind, and the modules of the kits for which there is a compiler.
ACME  := modules/causeway/internal/plugin
KITS  := modules/causeway/kits
.PHONY: codec-bench
codec-bench: ## codec bench for acme built in, as layout, wasm, js and rpc; writes the table of docs/codecs/README.md
	go build $(GOFLAGS_BUILD) -o $(BIN)/causeway ./modules/causeway
	go build -trimpath -o $(BIN)/acme ./$(ACME)/acme/cmd/acme
	cd $(KITS)/go/acme && GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags "-s -w" -o $(BIN)/acme-go.wasm .
	wasm=("wasm, from Go=$(BIN)/acme-go.wasm"); \
	if command -v clang wasm-ld >/dev/null; then \
		(cd $(KITS)/c && clang --target=wasm32 -O2 -Wno-unused-function -nostdlib -mbulk-memory -Wl,--no-entry \
			-Wl,-z,stack-size=16384 -o $(BIN)/acme-c.wasm acme.c); \
		wasm=("wasm, from C=$(BIN)/acme-c.wasm" "$${wasm[@]}"); \
	fi; \
	coproc $(BIN)/acme; read -r address <&"$${COPROC[0]}"; trap "kill $$COPROC_PID" EXIT; \
	go run ./$(ACME)/acme/cmd/figures -causeway $(BIN)/causeway -page docs/codecs/README.md -input $(ACME)/acme/testdata/data.txtar \
		"layout=$(ACME)/layout/testdata/acme.yaml" "$${wasm[@]}" "js=$(ACME)/js/testdata/acme.js" "rpc, a process in Go=rpc:$$address"

.PHONY: hostile
hostile: ## the throughput of a listener beside codecs that loop, flood, crash and hang; it has to stay within 10 %
	go test -run '^$$' -bench HostileCodecs -benchtime 5x ./modules/causeway/internal/gateway

# The programs of the comparison. Benthos has a module of its own, which is in no workspace; the Node gateway is
# left out, and named, where there is no npm.
.PHONY: bench-programs
bench-programs: ## compile the gateway, its peers and what measures them
	go build $(GOFLAGS_BUILD) -o $(BIN)/causeway ./modules/causeway
	go build -trimpath -tags profile -o $(BIN)/profile/causeway ./modules/causeway
	go build -trimpath -o $(BIN)/bench ./tests/bench/cmd/bench
	go build -trimpath -o $(BIN)/bench-sink ./tests/bench/cmd/sink
	go build -trimpath -o $(BIN)/bench-naive ./tests/bench/cmd/naive
	go build -trimpath -o $(BIN)/bench-prototype ./tests/bench/cmd/prototype
	cd tests/bench/benthos && GOWORK=off go build -trimpath -o $(BIN)/bench-benthos .
	if command -v npm >/dev/null; then npm ci --silent --ignore-scripts --prefix tests/bench/node; fi

.PHONY: bench
bench: bench-programs ## the gateway beside its peers, and its disk beside the direct way; BENCH="-trials lines-50" for a part
	$(BIN)/bench run $(BENCH)
	go test -run '^$$' -bench BenchmarkDisk -benchtime $(BENCHTIME) ./modules/causeway/internal/hub

.PHONY: bench-identity
bench-identity: ## what 300 devices cost that have identities of their own, beside as many of the module
	go test ./tests/e2e -run TestWhatAnIdentityCosts -count=1 -v -figures

.PHONY: bench-report
bench-report: bench-programs ## measure all of it (20 minutes) and write docs/performance.md; BENCH=-quick to try
	$(BIN)/bench report $(BENCH)

.PHONY: profile
profile: bench-programs ## CPU and heap profile of the gateway under load, into .run/profile
	go test -tags profile ./modules/causeway
	$(BIN)/bench profile $(BENCH)

.PHONY: cover
cover: ## coverage of all packages, by all tests; the page is .run/cover.html
	@mkdir -p .run
	go test -coverprofile .run/cover.out -coverpkg $$(go list $(PATTERNS) | paste -sd,) -timeout 300s $(PATTERNS)
	go tool cover -func .run/cover.out | tail -1
	go tool cover -html .run/cover.out -o .run/cover.html

##@ Ship

.PHONY: manifest
manifest: ## deployment.template.json -> config/deployment.$(PLATFORM).json, without Docker
	go run ./tests/law/cmd/manifest -platform $(PLATFORM) -out config deployment.template.json

.PHONY: image
image: ## build the module's image for PLATFORM (amd64) with docker, podman or buildah
	scripts/image $(PLATFORM)

.PHONY: image-test
image-test: ## build the image offline, start it non-root and read-only, ask its health (needs buildah, podman, runc)
	tests/image/run

##@ House

.PHONY: tools
tools: $(GOLANGCI) ## install the pinned tools into ./.tools

$(GOLANGCI):
	@mkdir -p $(TOOLS)
	GOWORK=off GOFLAGS= GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(TOOLS)/golangci-lint $@

.PHONY: docs
docs: ## write the generated parts of docs/operations.md
	go test -count=1 -run TestTheOperatorsPage ./tests/law -update

.PHONY: clean
clean: ## remove what was built and what runs left behind, tools excepted
	rm -rf bin config .run
