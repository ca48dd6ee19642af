# `make demo` builds netdiag and reviews a captured fixture; `make test` runs every test. Both install what is missing.
CARGO ?= cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: demo test need-cargo need-cc

demo: need-cargo need-cc
	$(CARGO) build --release --locked
	target/release/netdiag review --fail-on never captures/mtu/lab-overflow-bond0

test: need-cargo need-cc
	$(CARGO) test --locked

need-cargo:
	@command -v $(CARGO) >/dev/null || { echo "netdiag needs Rust 1.88 or newer: https://rustup.rs"; exit 1; }

# zstd is C, and so is the linker's driver; filters are libpcap's.
need-cc:
	@{ command -v cc && ls /usr/include/pcap.h; } >/dev/null 2>&1 || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq gcc libc6-dev libpcap0.8-dev; }
