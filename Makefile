# Garrison: one Makefile for everything. `make help` tells what a newcomer needs.
#
# services/*/main.c are found by themselves: services/tick becomes build/bin/garrison-tick, services/ctl becomes
# build/bin/garrisonctl. A new service needs no change here.
#
#   make [SAN=asan|tsan] [CC=clang] [OUT=dir] [JOBS=n]

MAKEFLAGS += --no-builtin-rules
JOBS ?= $(shell nproc)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: all build deploy-files dashboard test-images install uninstall build-services deps clean help run demo test lint fmt docs bench bench-growth bench-peers bench-table faults faults-table fuzz fuzz-build fuzz-replay overload unit-tests new-command new-service servers-up servers-down clean-stack FORCE

all: build

ifeq ($(origin CC),default)
CC := gcc
endif
SAN ?=
OUT ?= build$(SAN:%=/%)

# What to build -------------------------------------------------------------------------------------------------------

SERVICES := $(patsubst services/%/main.c,%,$(wildcard services/*/main.c))
# These two know every command: the others' --describe is embedded in them.
CATALOGUE_READERS := $(filter gateway ctl,$(SERVICES))
WORKERS := $(filter-out $(CATALOGUE_READERS),$(SERVICES))
binary = $(OUT)/bin/$(if $(filter ctl,$1),garrisonctl,garrison-$1)
objects = $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard $1/*.c)) $(patsubst %.lua,$(OUT)/obj/%.lua.o,$(wildcard $1/*.lua)) \
	$(patsubst %.html,$(OUT)/obj/%.html.o,$(wildcard $1/*.html))
BINARIES := $(foreach s,$(SERVICES),$(call binary,$s))

build: $(OUT)/libcommon.a $(OUT)/libtopology.a $(BINARIES)

# Without what only the tests need.
build-services: $(BINARIES)

# Compiling -----------------------------------------------------------------------------------------------------------

PACKAGES := librabbitmq hiredis libpq libcjson libmicrohttpd libsodium libcurl
ifneq ($(filter-out deps clean clean-stack help run demo test lint fmt bench bench-growth bench-peers bench-table faults faults-table fuzz overload deploy-files uninstall test-images new-command new-service servers-up servers-down,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell pkg-config --exists $(PACKAGES) && echo yes),yes)
$(error the libraries are not installed: run "make deps" first)
endif
endif
PACKAGE_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm

WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wcast-qual -Wmissing-prototypes -Werror
CPPFLAGS := -D_GNU_SOURCE= -include common/banned.h -I. -Icommon -I$(OUT)/gen $(PACKAGE_CFLAGS)
CFLAGS := -std=gnu11 -g $(WARNINGS) -pthread -fPIE -fstack-protector-strong
LDFLAGS := -pthread -pie -Wl,-z,relro,-z,now -Wl,--as-needed
ifeq ($(SAN),)
CPPFLAGS += -D_FORTIFY_SOURCE=2
CFLAGS += -O2
else ifeq ($(SAN),asan)
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
else ifeq ($(SAN),tsan)
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=thread
else
$(error SAN is "$(SAN)"; it may be asan or tsan)
endif
CFLAGS += $(EXTRA_CFLAGS)

COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c
LINK = $(CC) $(CFLAGS) $(LDFLAGS)

# write-if-changed FILE: standard input into FILE, whose time stamp stays when nothing changed.
write-if-changed = mkdir -p $(dir $1) && cat >$1.new && { cmp -s $1.new $1 && rm $1.new || mv $1.new $1; }

# Another compiler or other flags in the same folder: build it all again.
$(OUT)/flags: FORCE
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' | { $(call write-if-changed,$@); }

# The number of the newest migration: what a worker wants to find in the database.
SCHEMA_VERSION := $(shell expr $(lastword 0 $(sort $(shell ls deploy/migrations 2>/dev/null | \
	sed -n 's/^\([0-9]*\)_.*\.sql$$/\1/p'))) + 0)

# VERSION=... where there is no git repository, as in an image's build.
VERSION ?=

$(OUT)/gen/version.h: FORCE
	@{ echo "#define GARRISON_VERSION \"$(or $(VERSION),$$(git describe --always --dirty 2>/dev/null || echo unknown))\""; \
		echo "#define GARRISON_SCHEMA_VERSION $(SCHEMA_VERSION)"; } | { $(call write-if-changed,$@); }

$(OUT)/obj/%.o: %.c $(OUT)/flags | $(OUT)/gen/version.h
	@mkdir -p $(@D)
	@echo "  CC    $@"
	@$(COMPILE) -o $@ $<

# A Lua script is embedded in the service beside whose code it lies: arena.lua as `extern const char arena_lua[]`.
$(OUT)/obj/%.lua.o: %.lua deploy/embed.sh $(OUT)/flags
	@mkdir -p $(@D)
	@deploy/embed.sh $(basename $(notdir $<))_lua $< >$(@:.o=.S)
	@$(CC) $(CFLAGS) -c -o $@ $(@:.o=.S)

# So is a page: docs.html as `extern const char docs_html[]`.
$(OUT)/obj/%.html.o: %.html deploy/embed.sh $(OUT)/flags
	@mkdir -p $(@D)
	@deploy/embed.sh $(basename $(notdir $<))_html $< >$(@:.o=.S)
	@$(CC) $(CFLAGS) -c -o $@ $(@:.o=.S)

$(OUT)/lib%.a:
	@echo "  AR    $@"
	@rm -f $@
	@ar rcs $@ $(filter %.o,$^)

# An archive may be empty while its folder is; the list file makes it anew when a source file is added or removed.
$(OUT)/%.objects: FORCE
	@echo $(sort $(call objects,$*)) | { $(call write-if-changed,$@); }

$(OUT)/libcommon.a: $(call objects,common) $(OUT)/common.objects
$(OUT)/libtopology.a: $(call objects,topology) $(OUT)/topology.objects
LIBRARIES := $(OUT)/libtopology.a $(OUT)/libcommon.a

define service_rules
$(call binary,$1): $(call objects,services/$1) $(OUT)/services/$1.objects $(LIBRARIES)
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@$$(LINK) -o $$@ $$(filter %.o,$$^) $(LIBRARIES) $$(LIBS)
endef
$(foreach s,$(SERVICES),$(eval $(call service_rules,$s)))

# The catalogue -------------------------------------------------------------------------------------------------------

DESCRIPTIONS := $(WORKERS:%=$(OUT)/describe/%.json)

$(OUT)/describe/%.json: $(OUT)/bin/garrison-%
	@mkdir -p $(@D)
	@$< --describe >$@

$(OUT)/catalogue.json: $(DESCRIPTIONS) $(OUT)/flags
	@{ echo '['; separator=; for file in $(sort $(DESCRIPTIONS)); do \
		printf '%s' "$$separator"; cat "$$file"; separator=,; done; echo ']'; } | { $(call write-if-changed,$@); }
	@touch $@

$(OUT)/gen/catalogue.S: $(OUT)/catalogue.json
	@mkdir -p $(@D)
	@deploy/embed.sh catalogue_json $< >$@

# The fleet's list ----------------------------------------------------------------------------------------------------

$(OUT)/gen/fleet.S: deploy/fleet.list deploy/embed.sh
	@mkdir -p $(@D)
	@deploy/embed.sh fleet_list $< >$@

# The migrations ------------------------------------------------------------------------------------------------------

MIGRATIONS := $(sort $(wildcard deploy/migrations/[0-9]*.sql))
migration_symbol = migration_$(basename $(notdir $1))

$(OUT)/migrations.list: FORCE
	@echo '$(MIGRATIONS)' | { $(call write-if-changed,$@); }

$(OUT)/gen/migrations.S: $(MIGRATIONS) $(OUT)/migrations.list deploy/embed.sh
	@mkdir -p $(@D)
	@deploy/embed.sh $(foreach m,$(MIGRATIONS),$(call migration_symbol,$m) $m) >$@

$(OUT)/gen/migrations.c: $(OUT)/migrations.list deploy/migrations/generate.sh
	@mkdir -p $(@D)
	@deploy/migrations/generate.sh $(MIGRATIONS) >$@

$(OUT)/obj/gen/%.o: $(OUT)/gen/%.S $(OUT)/flags
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -c -o $@ $<

$(OUT)/obj/gen/migrations-sql.o: $(OUT)/gen/migrations.S $(OUT)/flags
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -c -o $@ $<

$(OUT)/obj/gen/migrations.o: $(OUT)/gen/migrations.c $(OUT)/flags
	@mkdir -p $(@D)
	@$(COMPILE) -o $@ $<

$(foreach s,$(CATALOGUE_READERS),$(eval $(call binary,$s): $(OUT)/obj/gen/catalogue.o))
$(if $(filter ctl,$(SERVICES)),$(eval $(call binary,ctl): $(OUT)/obj/gen/migrations.o $(OUT)/obj/gen/migrations-sql.o \
	$(OUT)/obj/gen/fleet.o))

# Unit tests ----------------------------------------------------------------------------------------------------------

# A test links with the libraries, and with the service files it names in a line of its own:
# /* link: services/tick/rules.c services/tick/loot.c */
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
named_objects = $(patsubst %.c,$(OUT)/obj/%.o,$(shell sed -n 's,^/\* link: \(.*\) \*/$$,\1,p' $1))

define unit_test_rules
$(OUT)/tests/$1: $(OUT)/obj/tests/unit/$1.o $(OUT)/obj/tests/unit/check.o $(call named_objects,tests/unit/$1.c) $(LIBRARIES)
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@$$(LINK) -o $$@ $$(sort $$(filter %.o,$$^)) $(LIBRARIES) $$(LIBS)
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_test_rules,$t)))

unit-tests: $(UNIT_TESTS:%=$(OUT)/tests/%)

# A service of the tests' own, for what all services share.
$(OUT)/tests/garrison-fixture: $(call objects,tests/fixture) $(LIBRARIES)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(LINK) -o $@ $(filter %.o,$^) $(LIBRARIES) $(LIBS)

# What the tests put before a program, so that calls fail.
$(OUT)/tests/fail_%.so: tests/preload/fail_%.c tests/preload/plan.c tests/preload/plan.h
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(CPPFLAGS) $(filter-out -fPIE,$(CFLAGS)) -fPIC -fno-builtin-malloc -shared -o $@ $(filter %.c,$^) -ldl

$(OUT)/tests/step_clock.so: tests/preload/step_clock.c
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(CPPFLAGS) $(filter-out -fPIE,$(CFLAGS)) -fPIC -shared -o $@ $<

# What the libraries do by themselves, for the benches.
$(OUT)/tests/bare_amqp: $(OUT)/obj/tests/bench/bare_amqp.o
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(LINK) -o $@ $^ $(LIBS)

$(OUT)/tests/bare_http: $(OUT)/obj/tests/bench/bare_http.o
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(LINK) -o $@ $^ $(LIBS)

# What the machine does by itself.
$(OUT)/tests/wake_cost: $(OUT)/obj/tests/bench/wake_cost.o
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(LINK) -o $@ $^

# What the benches measure of common/ without any server.
$(OUT)/tests/token_check: $(OUT)/obj/tests/bench/token_check.o $(LIBRARIES)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(LINK) -o $@ $(filter %.o,$^) $(LIBRARIES) $(LIBS)

build: $(OUT)/tests/garrison-fixture $(OUT)/tests/bare_amqp $(OUT)/tests/bare_http $(OUT)/tests/wake_cost $(OUT)/tests/token_check
build: $(if $(SAN),,$(OUT)/tests/fail_calls.so $(OUT)/tests/fail_malloc.so $(OUT)/tests/step_clock.so)

# What people type ----------------------------------------------------------------------------------------------------

deps:
	@deploy/local/install-deps.sh run

# The libraries may only just have been installed, so the build is a make of its own.
run: deps
	@$(MAKE) --no-print-directory build
	@deploy/local/run.sh

# A crowd of players on the fleet of make run. DEMO='--players 200 --rate 1000' changes it.
demo:
	@deploy/local/demo.sh $(DEMO)

# One pytest run, so that its closing line counts everything. PYTEST_ARGS='-k arena' chooses.
# A case that fails is run once more, and shown as such: on two cores with three servers and three test processes some come late.
test:
	@deploy/local/install-deps.sh test
	@echo 'building: release, address and undefined behaviour sanitizers, thread sanitizer, with points to die at'
	@$(MAKE) --no-print-directory build
	@$(MAKE) --no-print-directory SAN=asan build unit-tests fuzz-replay
	@$(MAKE) --no-print-directory SAN=tsan unit-tests $(UNDER_TSAN:%=build/tsan/%)
	@$(MAKE) --no-print-directory OUT=build/crash EXTRA_CFLAGS=-DGARRISON_CRASH_POINTS build
	@GARRISON_BIN=build/bin:build/asan/bin $(PYTEST) -n 3 --dist loadgroup --reruns 1 $(PYTEST_ARGS)

# What tests/blackbox/test_races.py runs.
UNDER_TSAN := tests/garrison-fixture bin/garrison-tick bin/garrison-combat-settlement

# Debian's python3, for which Debian's packages are installed, and not one that comes earlier in PATH.
PYTEST := /usr/bin/python3 -m pytest

# Each step says what is wrong; the first that fails ends it.
C_FILES = $(shell git ls-files -co --exclude-standard -- '*.c' '*.h')
SCRIPTS = $(shell git ls-files -co --exclude-standard -- '*.sh' .ci/run)

lint:
	@deploy/local/install-deps.sh lint
	@echo 'clang-format'
	@clang-format --dry-run -Werror $(C_FILES)
	@echo 'rules of the code base'
	@tests/lint.sh
	@echo 'shellcheck'
	@shellcheck $(SCRIPTS)
	@echo 'warnings are errors: gcc'
	@$(MAKE) --no-print-directory OUT=build/lint-gcc CC=gcc build unit-tests
	@echo 'warnings are errors: clang'
	@$(MAKE) --no-print-directory OUT=build/lint-clang CC=clang build unit-tests fuzz-build
	@echo 'clang-tidy'
	@printf '%s\n' $(filter %.c,$(C_FILES)) | xargs -P $(JOBS) -n 4 sh -c 'clang-tidy --quiet "$$@" -- $(TIDY_FLAGS) 2>build/tidy.err || { cat build/tidy.err; exit 255; }' tidy

TIDY_FLAGS = -std=gnu11 $(subst $(OUT)/gen,build/lint-clang/gen,$(CPPFLAGS))

# Into PREFIX, below DESTDIR: binaries, systemd units, and what deploy/secrets.sh needs. Settings go to /etc/garrison.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
UNITDIR ?= $(PREFIX)/lib/systemd/system
SHAREDIR ?= $(PREFIX)/share/garrison
UNITS = $(patsubst deploy/systemd/%.in,%,$(wildcard deploy/systemd/*.service.in))
SHARED := deploy/secrets.sh deploy/fleet.list deploy/access/redis.acl.in deploy/access/postgresql.sql

install: build-services
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SHAREDIR)/deploy/access
	install -m 755 $(BINARIES) $(DESTDIR)$(BINDIR)
	for unit in $(UNITS); do \
		sed 's,@bindir@,$(BINDIR),' deploy/systemd/$$unit.in >$(DESTDIR)$(UNITDIR)/$$unit && \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	done
	install -m 644 deploy/systemd/garrison.target $(DESTDIR)$(UNITDIR)
	for file in $(SHARED); do install -m $$([ -x $$file ] && echo 755 || echo 644) $$file $(DESTDIR)$(SHAREDIR)/$$file || exit 1; done

# What install put there; /etc/garrison stays.
uninstall:
	rm -f $(BINARIES:$(OUT)/bin/%=$(DESTDIR)$(BINDIR)/%) $(UNITS:%=$(DESTDIR)$(UNITDIR)/%) $(DESTDIR)$(UNITDIR)/garrison.target
	rm -rf $(DESTDIR)$(SHAREDIR)

# A skeleton in the project's style, in all the places that it touches.
new-command:
	@deploy/scaffold/new-command.sh "$(SERVICE)" "$(NAME)"

new-service:
	@deploy/scaffold/new-service.sh "$(NAME)"

# What deployment needs per service, from deploy/fleet.list; it is kept in the repository.
deploy-files:
	@deploy/generate.sh

# Every image built and run; says "skipped" where there can be no Docker engine.
test-images:
	@deploy/local/install-deps.sh run
	@$(MAKE) --no-print-directory build-services
	@tests/images.sh

# A panel for each metric that the services say they have.
dashboard: build-services
	@deploy/watch/dashboard.py $(filter-out %/garrisonctl,$(BINARIES)) >build/dashboard.json
	@mv build/dashboard.json deploy/watch/dashboard.json

fmt:
	@deploy/local/install-deps.sh lint
	@clang-format -i $(C_FILES)

# The reference, from what the binaries say of themselves. A test compares it.
docs: build
	@/usr/bin/python3 docs/make-reference.py $(OUT)/bin docs/reference

# BENCH='bench_arena bench_ticks' picks some; BENCH_JSON=file keeps the figures elsewhere; BENCH_RUNS=3, BENCH_SCALE=1.
RUN_BENCH = /usr/bin/python3 tests/bench/run.py $(if $(BENCH_JSON),--json $(BENCH_JSON))

bench:
	@deploy/local/install-deps.sh test
	@$(MAKE) --no-print-directory build
	@$(RUN_BENCH) $(BENCH)

# How cost grows with the number of characters.
POPULATIONS ?= 1000 10000 100000 1000000

bench-growth:
	@deploy/local/install-deps.sh test
	@$(MAKE) --no-print-directory build
	@$(RUN_BENCH) $(POPULATIONS:%=growth_%)

# The same work by what else one would pick. PEERS='peers_arena peers_tick' picks some.
PEERS ?= peers_settlement peers_gateway peers_tick peers_arena

bench-peers:
	@deploy/local/install-deps.sh peers
	@$(MAKE) --no-print-directory build
	@$(RUN_BENCH) $(PEERS)

# What the last runs found, into docs/.
bench-table:
	@/usr/bin/python3 tests/bench/run.py --table

# Every fault of the table on the whole fleet under load: FAULTS_SEED=1 FAULTS_MINUTES=30 FAULTS_ROWS=Redis.
faults:
	@deploy/local/install-deps.sh test
	@$(MAKE) --no-print-directory build
	@/usr/bin/python3 -u tests/faults/run.py

# What the last run saw, into docs/.
faults-table:
	@/usr/bin/python3 tests/faults/run.py --table

# Fuzzing: each tests/fuzz/fuzz_*.c is a target. With libFuzzer (clang) it runs for FUZZ_SECONDS; make test replays its corpus and runs some
# thousand seeded inputs in the sanitizers' build. All that the workers are made of, but their main.c, can be linked.
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 60
FUZZ_FLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_SHARED := $(patsubst %,$(OUT)/obj/tests/fuzz/%.o,input random_json)

WORKER_OBJECTS := $(filter-out %/main.o,$(foreach s,$(WORKERS),$(call objects,services/$s)))
$(OUT)/libworkers.a: $(WORKER_OBJECTS) $(foreach s,$(WORKERS),$(OUT)/services/$s.objects)

# fuzzer_link TARGET, FOLDER, MAIN, FLAGS
define fuzzer_link
$(OUT)/$2/$1: $(OUT)/obj/tests/fuzz/$1.o $(OUT)/obj/tests/fuzz/$3.o $(FUZZ_SHARED) $(call named_objects,tests/fuzz/$1.c) \
		$(OUT)/libworkers.a $(LIBRARIES)
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@$$(LINK) $4 -o $$@ $$(sort $$(filter %.o,$$^)) $(OUT)/libworkers.a $(LIBRARIES) $$(LIBS)
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzzer_link,$f,fuzz,libfuzzer,-fsanitize=fuzzer)))
$(foreach f,$(FUZZERS),$(eval $(call fuzzer_link,$f,tests,replay,)))

fuzz-build: $(FUZZERS:%=$(OUT)/fuzz/%)
fuzz-replay: $(FUZZERS:%=$(OUT)/tests/%)

# What is found goes on in build/fuzz/corpus; tests/fuzz/corpus, a few dozen files each, is where it begins.
fuzz:
	@deploy/local/install-deps.sh test
	@$(MAKE) --no-print-directory OUT=build/fuzz CC=clang EXTRA_CFLAGS='$(FUZZ_FLAGS)' fuzz-build
	@for fuzzer in $(FUZZERS); do \
		mkdir -p build/fuzz/corpus/$$fuzzer && echo "$$fuzzer, $(FUZZ_SECONDS) s" && \
		build/fuzz/fuzz/$$fuzzer -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -timeout=10 \
			-artifact_prefix=build/fuzz/ build/fuzz/corpus/$$fuzzer tests/fuzz/corpus/$$fuzzer || exit 1; \
	done

# Twice the rate that can be served, for OVERLOAD_SECONDS each: a worker's lanes, then the gateway.
OVERLOAD_SECONDS ?= 600
overload:
	@deploy/local/install-deps.sh test
	@$(MAKE) --no-print-directory build
	@OVERLOAD_SECONDS=$(OVERLOAD_SECONDS) GARRISON_BIN=build/bin $(PYTEST) -q -rP tests/blackbox/test_overload.py

# Servers that stay up between test runs: export GARRISON_TEST_STACK=$$(pwd)/build/test-stack
TEST_STACK := $(CURDIR)/build/test-stack

servers-up:
	@deploy/local/servers.sh start $(TEST_STACK)
	@echo 'export GARRISON_TEST_STACK=$(TEST_STACK)'

servers-down:
	@deploy/local/servers.sh remove $(TEST_STACK)

clean-stack:
	@deploy/local/servers.sh remove .stack

clean:
	@if [ -e $(TEST_STACK) ]; then deploy/local/servers.sh remove $(TEST_STACK); fi
	rm -rf build

help:
	@echo 'make run      install what is missing, build, start private servers and the fleet; Ctrl-C stops it all'
	@echo 'make demo     let a crowd of players play for a minute on what make run has started, and audit what came of it'
	@echo 'make test     install what is missing, build, run every test'
	@echo 'make          build only: build/bin/garrison-* and build/bin/garrisonctl'
	@echo 'make deps     install the Debian packages that are missing'
	@echo 'make lint     format, clang-tidy, warnings of gcc and clang, scripts, house rules; make fmt formats'
	@echo 'make new-command SERVICE=arena NAME=decline_match | make new-service NAME=guild: write a skeleton'
	@echo 'make test-images     build the container images and run the fleet in them'
	@echo 'make install | uninstall    binaries and systemd units; DESTDIR=, PREFIX=/usr/local'
	@echo 'make deploy-files    write Dockerfile, compose.yaml and the like from deploy/fleet.list'
	@echo 'make docs     write docs/reference/ anew, after a change of a command, an event, a setting, a metric, a route or a verb'
	@echo 'make bench    what it can do on this machine, beside what the bare parts can; make bench-growth: and as the game grows'
	@echo 'make bench-peers     the same work by Celery, aio-pika, FastAPI and the like'
	@echo 'make bench-table     write what they found into docs/performance.md'
	@echo 'make faults   kill, pause, cut, fill and empty everything under load, and audit what came of it; FAULTS_SEED=, FAULTS_MINUTES='
	@echo 'make fuzz     feed the parsers rubbish, FUZZ_SECONDS=60 each'
	@echo 'make overload    offer twice what can be served, OVERLOAD_SECONDS=600'
	@echo 'make clean    remove build/; make clean-stack deletes the data of make run'
	@echo
	@echo 'make servers-up | servers-down    servers for tests that stay up between runs'
	@echo 'make SAN=asan | SAN=tsan    with sanitizers, into build/asan or build/tsan'
	@echo 'make CC=clang               with clang'

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
