# The project's commands. Each does all the set-up it needs; the second time that is quick.

BUILD_DIR ?= build
PREFIX ?= /usr/local
export BUILD_DIR
export SAN

.PHONY: help build run test guests install lint bench fuzz-smoke clean

help:  ## What there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 14

build:  ## Set up and build everything
	@tools/build.sh

run:  ## The main job: boot the default image (ARGS="..." goes to `ww run`)
	@tools/build.sh ww
	@"$(BUILD_DIR)/ww" run $(ARGS)

test: build  ## Every test; with SAN=address those of the host's own code, under sanitizers, alone
	@[ -n "$(SAN)" ] || SAN=address tools/build.sh
	@tools/test.sh "$(BUILD_DIR)"

guests:  ## The guests alone: schemas, libraries, components, images (the tests' are of `build`)
	@tools/setup.sh
	@tools/build-guests.sh "$(BUILD_DIR)/guests"

install:  ## `ww` and the SDK that `ww build` uses, in PREFIX/bin and PREFIX/share/ww/sdk
	@tools/build.sh ww
	@cmake --install "$(BUILD_DIR)" --prefix "$(PREFIX)" >&2

lint: build  ## Formatting, clippy, clang-tidy
	@tools/lint.sh "$(BUILD_DIR)"

bench: build  ## Figures, each with its ceiling from the same run (PARTS="echo spawn"; PEERS=1)
	@tools/bench.sh "$(BUILD_DIR)" $(PARTS)

fuzz-smoke: build  ## The fuzz drivers, for a short time
	@tools/fuzz-smoke.sh "$(BUILD_DIR)"

clean:  ## Remove the build; what is expensive stays in the user's cache
	@rm -rf "$(BUILD_DIR)" examples/images/*/main.wasm examples/images/*/lib/*.wasm
