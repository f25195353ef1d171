# Tools, run with "go run" so that a fresh clone needs only Go.
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0

VERSION   ?= dev
IMAGE     ?= entrepot
FUZZTIME  ?= 30s
BENCHTIME ?= 1s
SEEDS     ?= 1000
SEED      ?= 0
FIRST     ?= 1
OPS       ?= 10000000
ARGS      ?=

LDFLAGS := -s -w -X main.version=$(VERSION)
# The race detector needs a C compiler; without one the tests run all the same.
RACE := $(if $(shell command -v $$(go env CC) 2>/dev/null),-race)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/entrepot
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/entrepot ./cmd/entrepot

.PHONY: run
run: build ## run a broker on its defaults (data in ./data); ARGS adds flags
	./bin/entrepot serve $(ARGS)

.PHONY: test
test: ## run every test that needs only Go, with the race detector if it can be built
	go test $(RACE) -timeout 30m $$(go list ./... | grep -v '/replication/simtest$$')
	go test ./replication/simtest # one goroutine: there is no race to find, and it takes all of a processor

.PHONY: check
check: format-check vet lint imports ## check format, vet, lint and the direction of imports

.PHONY: format
format: ## format the sources as lint wants them
	go run $(GOLANGCI_LINT) fmt

.PHONY: format-check
format-check: ## fail if a source is not formatted
	@files=$$(gofmt -s -l $$(git ls-files '*.go')); \
	if [ -n "$$files" ]; then echo "not formatted (make format mends it):"; echo "$$files"; exit 1; fi

.PHONY: vet
vet: ## run go vet, also on what only other systems and make integration compile
	go vet ./...
	go vet -tags integration,suites ./...
	GOOS=darwin go vet ./cmd/entrepot

.PHONY: lint
lint: ## run the linters of .golangci.yml
	go run $(GOLANGCI_LINT) run

.PHONY: imports
imports: ## check that packages import only what the architecture allows
	go test -count=1 -run '^TestPackagesImportOnlyWhatTheArchitectureAllows$$' ./cmd/entrepot

.PHONY: vulnerable
vulnerable: ## look for known vulnerabilities in what is used of the dependencies
	go run $(GOVULNCHECK) ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (30s)
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "== $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

.PHONY: sim
sim: ## drive simulated groups through faults, SEEDS of them (1000) from FIRST (1) on, or SEED alone with its trace
	go test -count=1 -timeout 0 -v -run '^TestGroupsKeepTheirPromises$$' ./replication/simtest -args -sim.seeds $(SEEDS) -sim.first $(FIRST) -sim.seed $(SEED)

.PHONY: model
model: ## hold queues against slow, obvious models: OPS random operations of one (10000000), a tenth as many of a whole broker
	GOGC=400 go test -count=1 -timeout 0 -v -run '^TestQueueDoesWhatTheModelSays$$' ./core/queue -args -rapid.checks 10000 -rapid.steps 100 -model.ops $(OPS)
	GOGC=400 go test -count=1 -timeout 0 -v -run '^TestBrokerDoesWhatTheModelSays$$' ./core/broker -args -rapid.checks 1000 -rapid.steps 100 -model.ops $$(($(OPS) / 10))

.PHONY: bench
bench: ## run the Go benchmarks; "entrepot bench" drives a running broker
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

.PHONY: figures
figures: ## measure what many queues, selectors and schedules cost (docs/operations.md, "Figures")
	go test -run '^$$' -benchmem -timeout 30m -bench '^Benchmark(MemoryOf10000Queues|DispatchOverQueues|ListOf100000Queues|OnlyMatchBehindAMillion|ThousandConsumers|AMillionSchedules)$$' ./core/broker

.PHONY: integration
integration: ## install clients of other languages and run them, and faults, against the real broker
	go test -tags integration -p 1 -count=1 -timeout 60m -v ./integration/...

.PHONY: suites
suites: ## clone the test suites of stomp.py, stompjs and Eclipse Paho, take go-amqp's, and run them against the real broker
	go test -tags suites -count=1 -timeout 20m -v ./integration/suites

.PHONY: docker
docker: ## build the container image
	docker build -f docker/Dockerfile --build-arg VERSION=$(VERSION) -t $(IMAGE):$(VERSION) .

.PHONY: clean
clean: ## remove what was built; data stays
	rm -rf bin coverage.out
	go clean -testcache
