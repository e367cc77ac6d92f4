# ssegauge: `make demo` shows everything, `make test` proves it. `make help` lists the rest.
.DEFAULT_GOAL := help
GO    ?= go
BIN   := .build/ssegauge
FUZZ  ?= 60s
# The race detector needs a C compiler; where there is none the tests run without it and say so.
RACE  := $(shell command -v $(firstword $(shell $(GO) env CC)) >/dev/null 2>&1 && echo -race)

.PHONY: help build demo test lint mutation interop bench million fuzz clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: ## build .build/ssegauge
	@mkdir -p .build
	$(GO) build -trimpath -o $(BIN) ./cmd/ssegauge

demo: build ## check and load the reference server, under a minute; writes ssegauge-demo.html
	$(BIN) demo

test: ## all tests, under the race detector where a C compiler is installed
	@[ -n "$(RACE)" ] || echo "no C compiler: testing without the race detector"
	$(GO) test $(RACE) -timeout 10m -parallel 4 ./...
	$(if $(RACE),$(GO) test ./loadgen/measure)

lint: ## gofumpt, vet and staticcheck
	@out=$$($(GO) tool gofumpt -l cmd conformance loadgen reference reports); [ -z "$$out" ] || { echo "not gofumpt'ed:" $$out; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

mutation: ## every fault of the reference server against every check; prints the matrix and the figures
	@mkdir -p .build; rm -f .build/mutation.txt
	@MATRIX=$(CURDIR)/.build/mutation.txt $(GO) test -count=1 -run 'TestReferenceServer|TestEvery' ./conformance/serverchecks; \
	  status=$$?; cat .build/mutation.txt; exit $$status

interop: build ## judge servers nobody here wrote, on ten stacks and behind three proxies (installs them)
	reference/interop/install
	$(GO) run ./reference/interop -ssegauge $(BIN)

bench: build ## ours, the baseline's and the ratio, in one run: cost of a stream and a delivery, truth, opening, validity, a million streams; then the cores
	$(GO) run ./loadgen/bench -ssegauge $(BIN)
	$(GO) test -run '^$$' -bench . -benchtime 1s ./reference/...

million: build ## a million HTTP/2 streams between one server and one generator, ten events to each: under two minutes
	$(GO) run ./loadgen/bench -ssegauge $(BIN) -only million

fuzz: ## every fuzz target for FUZZ (60s) each
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ) -fuzzminimizetime 10x $$pkg; \
	  done; done

clean: ## remove what was built
	rm -rf .build ssegauge-demo.html
