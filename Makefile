# `make demo` builds netdiag and reviews a captured fixture; `make test` runs every test. Both install what is missing.
CARGO ?= cargo
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
PROFILE := $(TARGET)/netdiag.profdata
PROFDATA = $(shell rustc --print target-libdir)/../bin/llvm-profdata
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: demo release profiled test need-cargo need-cc need-cxx need-net

demo: release
	$(TARGET)/release/netdiag review --fail-on never captures/mtu/lab-overflow-bond0

# The binary is $(TARGET)/release/netdiag, laid out by a profile. The compiler's tool for that comes with rustup; without it the same is built, a
# tenth slower.
release: need-cargo need-cc
	@if [ -x "$(PROFDATA)" ] || { rustup component add llvm-tools && [ -x "$(PROFDATA)" ]; } >/dev/null 2>&1; then \
	  $(MAKE) --no-print-directory profiled; \
	else \
	  echo "no llvm-profdata for this compiler: built without a profile"; $(CARGO) build --release --locked; \
	fi

# Where the profile tells what to bring together, thin optimisation at link time is enough, and takes half as long.
profiled $(PROFILE): export CARGO_PROFILE_RELEASE_LTO := thin

profiled: $(PROFILE)
	RUSTFLAGS="$(RUSTFLAGS) -Cprofile-use=$(PROFILE)" $(CARGO) build --release --locked

# How often each branch is taken while netdiag judges its own cases: what is seldom is moved out of the way of the rest.
$(PROFILE): Cargo.toml Cargo.lock $(shell find src -name '*.rs')
	RUSTFLAGS="$(RUSTFLAGS) -Cprofile-generate=$(TARGET)/profiling/raw" $(CARGO) build --release --locked --target-dir $(TARGET)/profiling
	rm -rf $(TARGET)/profiling/raw
	$(TARGET)/profiling/release/netdiag verify captures >/dev/null
	$(PROFDATA) merge -o $@ $(TARGET)/profiling/raw

test: need-cargo need-cc need-net
	$(CARGO) test --locked

need-cargo:
	@command -v $(CARGO) >/dev/null || { echo "netdiag needs Rust 1.88 or newer: https://rustup.rs"; exit 1; }

# zstd is C, and so is the linker's driver; filters are libpcap's.
need-cc:
	@{ command -v cc && ls /usr/include/pcap.h; } >/dev/null 2>&1 || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq gcc libc6-dev libpcap0.8-dev; }

# The live tests make links, and boot a kernel of their own that has bonds and VLANs; where there is no such package, they say so.
need-net:
	@{ PATH=$$PATH:/usr/sbin:/sbin; command -v ip && command -v ethtool && command -v modprobe && command -v setpriv && command -v dnsmasq && command -v udhcpc && command -v nft && command -v linux.uml && command -v dhcpd && command -v dhclient && command -v dhcrelay; } >/dev/null 2>&1 || { \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq iproute2 ethtool kmod util-linux dnsmasq-base udhcpc nftables && \
	  { $(SUDO) apt-get install -y -qq isc-dhcp-server isc-dhcp-client isc-dhcp-relay || echo "the tests with ISC's daemons will be skipped"; } && \
	  { $(SUDO) apt-get install -y -qq user-mode-linux || echo "the tests in a kernel of their own will be skipped"; }; }

# libFuzzer is C++.
need-cxx:
	@command -v c++ >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq g++; }
