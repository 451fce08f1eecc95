# Lathe. `make` or `make help` lists the targets.
#
# LIBTORCH=/path or LIBTORCH_USE_PYTORCH=1 uses an installation of yours; CUDA=1 fetches the CUDA build as well.
# CARGO_FEATURES=hdf5 reads REPA-E's HDF5 files as well (needs cmake).

CARGO ?= cargo
LATHE = target/release/lathe
ARGS ?=

FUZZ = $(CARGO) test --test fuzz --

DIST = $(CARGO) test --test it -- --nocapture dist::

.PHONY: help dist-test reference fuzz operators demo test quick build lint bench doc clean libtorch weights parity parity-cpus

# The runner of the fixtures, on the kernels that the variables before it choose.
PARITY = LATHE_TEST_ALONE=1 $(CARGO) test --test it parity::alone -- --nocapture

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

demo: build weights ## pictures -> VAE -> Send-VAE -> latents -> SiT -> samples
	$(LATHE) run scripts/demo.rhai $(ARGS)

# In the build of `make quick`: the work is libtorch's, and what is Rust's is checked for overflows.
# One thread for each process of tests: two that wait for each other beside other processes are slower than one.
quick test: export OMP_NUM_THREADS ?= 1
# Some wait for locks, files, clients and processes.
quick test: export RUST_TEST_THREADS ?= $(shell echo $$(($$(nproc 2> /dev/null || getconf _NPROCESSORS_ONLN) + 2)))
test: libtorch weights ## all tests
	$(CARGO) test --no-fail-fast $(ARGS)

quick: libtorch ## the tests that start no process, in the debug build: after each edit
	@CARGO="$(CARGO)" sh .cargo/quick.sh

build: libtorch ## the `lathe` binary, target/release/lathe
	$(CARGO) build --release $(if $(CARGO_FEATURES),--features $(CARGO_FEATURES))

lint: libtorch ## rustfmt and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- -D warnings

# LATHE_GOLDEN=/path takes other fixtures, LATHE_DEVICE=cuda a GPU; the page is of the repository's own on the CPU.
parity: libtorch ## compare every module with the numbers of the PyTorch reference, and write docs/parity.md
	LATHE_PARITY_MD=$(if $(LATHE_GOLDEN)$(LATHE_DEVICE)$(LATHE_GOLDEN_ONLY),,docs/parity.md) $(PARITY)

parity-cpus: libtorch ## the same comparison with this processor's own kernels, with those for AVX2, and with those for none of its extensions
	$(PARITY)
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 $(PARITY)
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 $(PARITY)

# FUZZ_TIME: seconds for each family; FUZZ_SEED: another seed makes other calls.
fuzz: libtorch ## hostile calls of every allowed operator and of every script function, each in processes of their own
	$(FUZZ) ops --time $(or $(FUZZ_TIME),600) --seed $(or $(FUZZ_SEED),1) $(ARGS)
	$(FUZZ) api --time $(or $(FUZZ_TIME),600) --seed $(or $(FUZZ_SEED),1) $(ARGS)

operators: libtorch ## make the list of operators that scripts may call anew, by a fuzz of all of them
	$(FUZZ) ops --all --write src/core/torch/operators $(ARGS)

# TORCHRUN: that of a PyTorch 2.11 which is there; else one is installed into target/torchrun (3 GB).
dist-test: libtorch weights ## several ranks: many kills and edits, two hosts, torchrun's restarts
	test -n "$(TORCHRUN)" || test -x target/torchrun/bin/torchrun || (python3 -m venv target/torchrun && target/torchrun/bin/pip install torch==2.11.0 numpy)
	LATHE_DIST_KILLS=50 LATHE_DIST_EDITS=100 LATHE_TORCHRUN=$(or $(TORCHRUN),$(CURDIR)/target/torchrun/bin/torchrun) $(DIST)

bench: build weights ## the figures of docs/benchmarks.md
	$(CARGO) bench $(ARGS)

doc: libtorch ## the Rust documentation, target/doc
	$(CARGO) doc --no-deps

reference: build ## docs/reference, from the doc comments, and the page of recipes
	$(LATHE) doc --write docs/reference
	$(LATHE) doc --recipes docs/guide/recipes.md

clean: ## remove what was built; the fetched libtorch stays in the cache
	$(CARGO) clean

libtorch:
	@sh .cargo/libtorch.sh

weights: ## fetch the pretrained EfficientNet-Lite0 (17 MB, once)
	@sh .cargo/weights.sh
