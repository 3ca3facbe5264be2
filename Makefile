# Thin over Meson, because people type `make`. Everything that needs namespaces runs as root.
BUILD ?= build
T ?= 60
FUZZERS ?=

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup --werror $(BUILD)

# Unit tests and lint, about a minute after the build.
check:
	tests/run --quick --build $(BUILD)

lint:
	python3 tests/lint/lint.py

# The lab with real kernel clients and servers. One test: make system TEST=failover
system: all
	HOLDFAST_BUILD=$(BUILD) python3 tests/system/run.py $(TEST)

# The promises, one line each, with figures.
accept-forward: all
	HOLDFAST_BUILD=$(BUILD) python3 tests/system/run.py --accept

accept-tls: all
	HOLDFAST_BUILD=$(BUILD) python3 tests/system/run.py --accept=tls

# holdfast-gen on both sides: many sessions, failovers in a row, floods, slow and dead standbys, a full table.
accept-dataplane: all
	HOLDFAST_BUILD=$(BUILD) python3 tests/system/run.py --accept=dataplane

# Other people's tools: direct, through Holdfast, and with a failover every half a second.
differential: all
	HOLDFAST_BUILD=$(BUILD) python3 tests/system/run.py --accept=differential

# Takes one mechanism after the other out, in a copy of the tree; about 20 minutes. Some: make mutation ONLY="no-gate one-owner"
ONLY ?=
mutation:
	tests/mutation/run.py $(ONLY)

# As long as one likes: make soak-tls ROUNDS=200
ROUNDS ?= 100
soak-tls: all
	HOLDFAST_BUILD=$(BUILD) python3 tests/system/tls_soak.py --rounds $(ROUNDS)

# Whole clusters in virtual time: make sim SEEDS=1000, or one seed with all that happens: make sim SEED=73.
SEEDS ?= 1000
SANITIZED_SEEDS ?= 100
SEED ?=
ARGS ?=
sim: $(BUILD)/build.ninja
	ninja -C $(BUILD) tests/simulation/world/holdfast-sim
	$(BUILD)/tests/simulation/world/holdfast-sim $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(ARGS)

# Adoption and commit in Promela, searched by spin; and simulated clusters held against it.
model: $(BUILD)/build.ninja
	tests/model/run.py
	ninja -C $(BUILD) tests/simulation/world/holdfast-sim
	tests/model/trace.py $(BUILD)/tests/simulation/world/holdfast-sim

demo:
	deploy/demo

bench: all
	deploy/install-packages --bench
	tests/bench/run --build $(BUILD)

# Holdfast beside others, in one run of under 20 minutes; writes the tables and plots of docs/performance.md and README.md.
# Part of it: make scoreboard ARGS="--only forward"
scoreboard: all
	deploy/install-packages --bench
	tests/bench/scoreboard --build $(BUILD) $(ARGS)

# Unit tests, transcripts, corpora and simulated clusters under sanitizers.
asan: SANITIZERS = address,undefined
asan: WITH = UBSAN_OPTIONS=print_stacktrace=1
tsan: SANITIZERS = thread
asan tsan:
	test -f build-$@/build.ninja || meson setup --werror -Db_sanitize=$(SANITIZERS) -Db_lundef=false -Doptimization=1 -Dbench=disabled $(SETUP) build-$@
	ninja -C build-$@
	$(WITH) meson test -C build-$@ --timeout-multiplier 40 --print-errorlogs
	$(WITH) build-$@/tests/simulation/world/holdfast-sim --seeds $(SANITIZED_SEEDS)

# ThreadSanitizer of GCC 12 knows fewer address layouts than kernels draw, and no fences (dataplane/port/sleeper.h has one).
tsan: WITH = TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp setarch -R
tsan: SETUP = -Dcpp_args=-Wno-tsan

# Every fuzzer for T seconds, from the corpus in the tree; what it finds new stays in build-fuzz/found.
fuzz:
	tests/fuzz/run.py --seconds $(T) $(FUZZERS)

# A few checks that hardly ever cry wolf, over the protocol code (clang 14 cannot read all of the rest).
tidy: all
	git ls-files 'base/*.cc' 'replication/*.cc' 'dataplane/*.cc' | \
	    grep -vE '_test\.cc$$|/(port|steer)/|/tls/(certificates|context|testing)\.cc' | \
	    xargs -P $$(nproc) -n 1 clang-tidy -p $(BUILD) --quiet

format:
	git ls-files '*.cc' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD) build-asan build-tsan build-fuzz build-mutation

.PHONY: all check lint system accept-forward accept-tls accept-dataplane differential mutation soak-tls sim model demo bench scoreboard asan tsan fuzz tidy format clean
