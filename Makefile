# `make test` runs everything that must pass.

CARGO ?= cargo

.PHONY: test format lint conformance rtl rtl-tools page unit docs benches instructions peers deny \
	capi

test: format lint conformance rtl page unit docs benches

format:
	rustup component list --installed 2>/dev/null | grep -q rustfmt || rustup component add rustfmt
	$(CARGO) fmt --check

lint:
	rustup component list --installed 2>/dev/null | grep -q clippy || rustup component add clippy
	$(CARGO) clippy --locked --all-targets -- -D warnings

# The backend cases of the onnx package, for tests/conformance.rs.
conformance:
	test -x target/venv/bin/pip || python3 -m venv target/venv
	target/venv/bin/pip install --quiet --disable-pip-version-check onnx==1.23.2 numpy==2.4.6
	target/venv/bin/python -W ignore tests/conformance/collect.py target/conformance

# Installs the programs that are missing.
define install
@for tool in $(1); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
if [ -n "$$missing" ]; then \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "install$$missing: apt-get install --no-install-recommends $(1)" >&2; exit 1; \
	fi; \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive \
		apt-get install -qy --no-install-recommends $$missing; \
fi
endef

# Designs in SystemVerilog against the model, tests/rtl: simulators, cocotb, synthesis.
RTL_TOOLS := g++ verilator iverilog yosys
rtl: rtl-tools capi
	BITTRUE_RTL=required $(CARGO) test --locked --test rtl -- --nocapture

rtl-tools:
	$(call install,$(RTL_TOOLS))
	test -x target/venv/bin/pip || python3 -m venv target/venv
	target/venv/bin/pip install --quiet --disable-pip-version-check cocotb==2.0.1 numpy==2.4.6

# The pages of --html in a browser, and tables as Parquet, tests/page.rs.
page:
	$(call install,chromium)
	test -x target/venv/bin/pip || python3 -m venv target/venv
	target/venv/bin/pip install --quiet --disable-pip-version-check playwright==1.65.2 duckdb==2.0.1
	BITTRUE_PAGE=required $(CARGO) test --locked --test page -- --nocapture

# Without the tests of tests/rtl and tests/page.rs, which `make rtl` and `make page` run.
unit:
	BITTRUE_RTL=done BITTRUE_PAGE=done $(CARGO) test --locked

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

# In the profile of the tests, whose dependencies are built already.
benches:
	$(CARGO) test --locked --benches --no-run

# Instructions of the portable and AVX2 paths against benches/instructions.toml, by valgrind;
# `make instructions FIGURES=--write` takes what is counted as the new figures.
instructions:
	$(call install,valgrind)
	$(CARGO) bench --locked --profile capi --bench instructions -- $(FIGURES)

# Beside ONNX Runtime, ap_fixed and SCALE-Sim, which are installed at first; see docs/performance.md.
peers:
	$(CARGO) bench --locked --bench peers

# Licences and duplicate versions of the dependencies; installs cargo-deny on first use.
deny:
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources

# The C libraries, target/capi/libbittrue.a and .so; their header is src/verify/capi/bittrue.h.
capi:
	$(CARGO) rustc --locked --profile capi --lib --crate-type staticlib,cdylib
