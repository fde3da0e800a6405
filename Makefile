# The two commands of the README are `make demo` and `make test`; both install what they need on a bare Debian 12.
# Everything else is what they are made of, and exactly what .ci/run runs.

VENV := .venv
BIN := $(VENV)/bin
MATRIX := .cache/matrix
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
STAMPS := .cache/stamps
comma := ,
# The lab makes namespaces and runs a libvirtd of its own, which needs root.
AS_ROOT := $(if $(SUDO),$(SUDO) --preserve-env=PYTHONPATH$(comma)LASTCALL_CYCLES$(comma)LASTCALL_EXAMPLES$(comma)LASTCALL_FAULTS$(comma)LASTCALL_RELEASES$(comma)LASTCALL_SKELETONS,)
PYTEST := HYPOTHESIS_STORAGE_DIRECTORY=.cache/hypothesis PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $(AS_ROOT) $(BIN)/pytest

BUILD_PACKAGES := python3 python3-venv python3-dev libvirt-dev pkg-config gcc
LAB_PACKAGES := libvirt-daemon-system libvirt-clients libvirt-l10n qemu-system-x86 qemu-guest-agent busybox-static cpio kmod \
	iproute2 util-linux time libvirt-daemon-driver-lxc dropbear-bin openssh-client faketime mmdebstrap e2fsprogs \
	libfuse3-3 lz4 qemu-utils dnsmasq-base iptables systemd-container perl shellcheck mosquitto zsh fish nut-client nut-server \
	etcd-server
NUT_UNITS := nut-server.service nut-monitor.service nut-driver.target nut-driver-enumerator.service nut-driver-enumerator.path
# Fonts for what a picture shows: a browser of a bare Debian has but one. Cockpit is started by the tests, see below.
BROWSER_PACKAGES := chromium fonts-noto-core cockpit-ws cockpit-bridge
DEB_PACKAGES := debhelper dpkg-dev man-db groff mandoc lintian rpm shellcheck

.PHONY: demo test quick setup fmt lint type read unit sim fuzz integration faults guests host packages matrix soak bench docs deb clean

demo: $(STAMPS)/venv
	@$(BIN)/lastcall demo

# One run of pytest, so that there is one closing line; the slowest first, see tests/conftest.py. Guests and hosts wait
# for each other and for time boxes so much that two cores have room for six processes. The slowest are named in the
# end: a test that costs is noticed.
test: $(STAMPS)/venv $(STAMPS)/lab $(STAMPS)/deb $(STAMPS)/browser
	@$(MAKE) --no-print-directory -j 3 lint type read
	$(PYTEST) -n 6 --dist loadscope --no-loadscope-reorder -m "not soak" --durations=25 --durations-min=10 tests/host tests/guests tests/simulation tests/faults tests/integration tests/fuzz tests/packages tests/unit

# What tells within minutes whether a change is worth the whole suite: nothing in it boots a guest or a host, or breaks
# what is said to libvirtd. Half of its time these tests wait for time boxes, so that two cores have room for four.
quick: $(STAMPS)/venv $(STAMPS)/lab
	@$(MAKE) --no-print-directory -j 3 lint type read
	$(PYTEST) -n 4 --dist loadscope -m "not real_guests" tests/integration tests/simulation tests/unit

setup: $(STAMPS)/venv

fmt: $(STAMPS)/venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMPS)/venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

type: $(STAMPS)/venv
	$(BIN)/basedpyright

# The tests, read and kept as bytecode beside what judges them: each of six processes that do so by themselves takes eight
# seconds longer. What cannot be read is told by the run.
read: $(STAMPS)/venv
	@-$(PYTEST) --collect-only -qq tests >/dev/null 2>&1

unit: $(STAMPS)/venv $(STAMPS)/lab
	$(PYTEST) tests/unit

# Whole runs in worlds that are made from a seed: make sim FROM=1234 SEEDS=1 VERBOSE=1 tells the story of one.
SEEDS := 10000
FROM := 0
sim: $(STAMPS)/venv
	PYTHONPATH=tests $(BIN)/python -m simulation --from $(FROM) --seeds $(SEEDS) $(if $(VERBOSE),-v,)

# Odd input for every reader, on from where the last one ended: make fuzz INPUTS=20000 ONLY=metadata.
INPUTS := 100000
ONLY :=
fuzz: $(STAMPS)/venv
	PYTHONPATH=tests $(BIN)/python -m fuzz --inputs $(INPUTS) --only '$(ONLY)'

integration: $(STAMPS)/venv $(STAMPS)/lab
	$(PYTEST) tests/integration

# What lastcall and libvirtd say to each other, with faults: a sample of them. `make soak` has them all.
faults: $(STAMPS)/venv $(STAMPS)/lab
	$(PYTEST) tests/faults

guests: $(STAMPS)/venv $(STAMPS)/lab
	$(PYTEST) tests/guests

# Whole hosts in containers: systemd as process 1, poweroffs, reboots, installations.
host: $(STAMPS)/venv $(STAMPS)/lab $(STAMPS)/deb
	$(PYTEST) tests/host

# What boots nothing, with each Python, and with the oldest and the newest versions of the dependencies: see noxfile.py.
ARGS :=
matrix: $(STAMPS)/matrix $(STAMPS)/lab
	HYPOTHESIS_STORAGE_DIRECTORY=.cache/hypothesis PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $(MATRIX)/bin/nox $(ARGS)

# The loops of the test suite, longer, every fault at every message, many more worlds, a million inputs, each host on each
# release of Debian and by each way to install, every skeleton of a plugin, each Python: hours.
soak: $(STAMPS)/venv $(STAMPS)/lab $(STAMPS)/deb
	$(MAKE) sim SEEDS=100000
	$(MAKE) fuzz INPUTS=1000000
	LASTCALL_CYCLES=20 LASTCALL_EXAMPLES=10 LASTCALL_FAULTS=every $(PYTEST) tests/integration/test_cycles.py tests/integration/test_faults.py \
		tests/guests/test_daemon_dies.py tests/guests/test_killed_runner.py tests/unit/ordering/test_dependencies.py tests/unit/config/test_hostile_text.py tests/faults
	LASTCALL_RELEASES=every $(PYTEST) tests/host
	LASTCALL_SKELETONS=every $(PYTEST) tests/packages/test_skeletons.py
	$(MAKE) matrix

# What is given to others: the wheel and the sdist, recipes for packages, the ways to install, the page of a report.
packages: $(STAMPS)/venv $(STAMPS)/deb $(STAMPS)/browser
	$(PYTEST) tests/packages

bench: $(STAMPS)/venv $(STAMPS)/lab
	PYTHONPATH=tests $(AS_ROOT) $(BIN)/python -m bench

# The documentation as a site, into site/; a link that leads nowhere fails it. `make unit` builds it, too.
docs: $(STAMPS)/venv
	PYTHONPATH=docs $(BIN)/python -m book

# Packages for Debian 12 (and Ubuntu 24.04) and Debian 13, into dist/.
deb: $(STAMPS)/venv $(STAMPS)/deb
	@$(BIN)/python contrib/debian/build.py

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .hypothesis dist site

# Installed only where something is missing, so that nobody is asked twice for sudo.
define install_packages
	@mkdir -p $(STAMPS)
	@dpkg -s $(1) >/dev/null 2>&1 || { $(SUDO) apt-get update -q && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(1); }
	@touch $@
endef

# What libvirt-python builds with.
$(STAMPS)/build:
	$(call install_packages,$(BUILD_PACKAGES))

# What the private libvirtd and its guests of the tests are made of; the packages' own services are not used.
$(STAMPS)/lab: Makefile
	@# The tests start brokers of their own: where the package is new, its service is not started, now or at a boot.
	@dpkg -s mosquitto >/dev/null 2>&1 || $(SUDO) systemctl mask --quiet mosquitto.service 2>/dev/null || true
	@# NUT as well: a UPS that nobody has set up here would be looked for at every boot.
	@dpkg -s nut-server >/dev/null 2>&1 || $(SUDO) systemctl mask --quiet $(NUT_UNITS) 2>/dev/null || true
	@dpkg -s etcd-server >/dev/null 2>&1 || $(SUDO) systemctl mask --quiet etcd.service 2>/dev/null || true
	$(call install_packages,$(LAB_PACKAGES))

# What our own packages are built with, and judged by.
$(STAMPS)/deb: Makefile
	$(call install_packages,$(DEB_PACKAGES))

# What opens a page of ours, and the page of a report is judged in. Who gets Cockpit by that had not asked for a server on
# port 9090: its socket is masked until it is installed, so that it is not started, and is not enabled afterwards. One that
# was there before stays as it is.
MASK := /etc/systemd/system/cockpit.socket
$(STAMPS)/browser: Makefile
	@dpkg -s cockpit-ws >/dev/null 2>&1 || test -e $(STAMPS)/masked || { mkdir -p $(STAMPS) && \
		$(SUDO) mkdir -p $(dir $(MASK)) && $(SUDO) ln -s /dev/null $(MASK) && touch $(STAMPS)/masked; }
	$(call install_packages,$(BROWSER_PACKAGES))
	@test ! -e $(STAMPS)/masked || { $(SUDO) rm -f $(MASK) && $(SUDO) systemctl --quiet disable cockpit.socket && \
		rm $(STAMPS)/masked; }

$(STAMPS)/venv: pyproject.toml $(STAMPS)/build
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check 'pip>=25.1'
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e . --group dev --group ansible --group docs --group browser
	@$(BIN)/python -m compileall -q core plugins  # as pip does for whoever installs it: a start must not compile
	@touch $@

$(STAMPS)/matrix: pyproject.toml $(STAMPS)/build
	@test -x $(MATRIX)/bin/python || python3 -m venv $(MATRIX)
	@$(MATRIX)/bin/python -m pip install -q --disable-pip-version-check 'pip>=25.1'
	@$(MATRIX)/bin/python -m pip install -q --disable-pip-version-check --group matrix
	@touch $@

# The rooms of docs/architecture.md, drawn from the code.
.PHONY: picture pictures promise example
picture: $(STAMPS)/venv
	$(BIN)/python docs/rooms.py --write

# The pictures of the README and of docs/, taken of the page that the code makes of a stored run, and of a terminal.
pictures: $(STAMPS)/venv $(STAMPS)/browser
	PYTHONPATH=docs $(BIN)/python -m book.pictures --write
	PYTHONPATH=docs:tests $(BIN)/python -m book.live_view --write

# What docs/compatibility.md promises, line by line and schema by schema, the man pages and what completions know, from the code.
promise: $(STAMPS)/venv
	PYTHONPATH=docs $(BIN)/python -m book.promise --write
	PYTHONPATH=docs $(BIN)/python -m book.schemas --write
	PYTHONPATH=docs $(BIN)/python -m book.command_index --write
	PYTHONPATH=docs $(BIN)/python -m book.manual --write

# contrib/example-plugin, which `lastcall plugins new` has written.
example: $(STAMPS)/venv
	rm -rf contrib/example-plugin contrib/lastcall-door-sign
	cd contrib && ../$(BIN)/lastcall plugins new door-sign --stop-method --shell --command
	mv contrib/lastcall-door-sign contrib/example-plugin
