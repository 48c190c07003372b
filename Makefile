# Two commands matter: `make run` and `make test`. Both install what they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEPS   := $(VENV)/.installed
# What drives browsers in tests, as package-lock.json pins it.
BROWSER_DEPS := tests/browsers/node_modules/.package-lock.json
# libwebrtc for Python, aside: its module is called webrtc as ours is.
WRTC   := $(VENV)/wrtc/.installed

# What the server needs from Debian (the compiler is for the native engine), and what tests
# and measurements need on top of it.
DEBIAN_RUN   := python3-venv python3-dev gcc libc6-dev
DEBIAN_TEST  := $(DEBIAN_RUN) coturn chromium iproute2 golang-go golang-github-pion-ice.v2-dev nftables util-linux \
                golang-github-pion-webrtc.v3-dev \
                gir1.2-nice-0.1 gstreamer1.0-nice python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 \
                gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-bad \
                gstreamer1.0-plugins-good gstreamer1.0-plugins-base \
	firefox-esr nodejs npm libnss3-tools prosody
DEBIAN_BENCH := $(DEBIAN_TEST) libssl-dev

# What runs in processes beside the rest, each of about as long: tests that compute above all and
# some that mostly wait, and more that wait.
BESIDE_1 := tests/stun tests/turnd/core tests/turnd/store tests/ice_client/core \
            $(addprefix tests/webrtc/,sdp sctp rtp media dtls robust lines) tests/interop
BESIDE_2 := $(addprefix tests/ice_client/,browsers check foreign shell turn) tests/natlab

LONG := tests/webrtc/foreign_more tests/webrtc/network

.PHONY: run test test-long check format bench fuzz asan clean debian-run debian-test debian-bench

run: $(DEPS)
	@$(BIN)/turnd run --demo

test: debian-test $(DEPS) $(BROWSER_DEPS) $(WRTC)
	@.ci/pytest-beside "$(LONG)" "$(BESIDE_1)" "$(BESIDE_2)"

# Calls that take a quiet machine and minutes: long files, and over bad lines.
test-long: debian-test $(DEPS) $(BROWSER_DEPS) $(WRTC)
	$(BIN)/pytest $(LONG)

check: $(DEPS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEPS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# An hour by default; FUZZ_SECONDS=60 for a short one.
fuzz: $(DEPS)
	FUZZ_SECONDS=$${FUZZ_SECONDS:-3600} $(BIN)/python -m tests.fuzz

# The native engine under AddressSanitizer, UBSan and ThreadSanitizer, built beside the installed
# one; each storm is a minute long by default.
asan: $(DEPS)
	$(BIN)/python -m tests.fuzz.sanitized --seconds $${ASAN_SECONDS:-60}

bench: debian-bench $(DEPS)
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) tests/browsers/node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

NATIVE := $(filter-out %/_engine.c,$(wildcard turnd/datapath/native/*.[ch] turnd/datapath/native/*.pyx turnd/datapath/native/*.pxd))

$(DEPS): pyproject.toml setup.py $(NATIVE) | debian-run
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable . --group dev
	@touch $@

$(BROWSER_DEPS): tests/browsers/package-lock.json | debian-test
	npm ci --prefix tests/browsers --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(WRTC): | $(DEPS)
	$(BIN)/pip install --quiet --target $(@D) wrtc==0.1.0
	@touch $@

debian-run:
	@.ci/debian-packages $(DEBIAN_RUN)

debian-test:
	@.ci/debian-packages $(DEBIAN_TEST)

debian-bench:
	@.ci/debian-packages $(DEBIAN_BENCH)
