#!/bin/sh
# Installs packages, and asks nobody. apt's lists may be old, or none: then they are fetched, and it is tried once more.
export DEBIAN_FRONTEND=noninteractive

install() {
	apt-get --quiet --yes --option DPkg::Lock::Timeout=120 install "$@" </dev/null
}

install "$@" || { apt-get --quiet update && install "$@"; }
