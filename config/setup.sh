# Shared by quickstart and run-tests: progress, clear failures, packages. Sourced by bash, never run.
# shellcheck shell=bash

readonly project_dir="${project_dir:?set by the script that sources this}"
started_at=$(date +%s)

# say TEXT: one line of progress.
say() { printf '%s  %s\n' "$(printf '[%4ds]' $(($(date +%s) - started_at)))" "$*"; }

# fail TEXT NEXT-STEP: says what went wrong and what to do, and ends.
fail() {
    printf '\nCannot go on: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'Next step:    %s\n' "$2" >&2
    exit 1
}

# as_root COMMAND…: directly as root, through sudo otherwise.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# logged NAME COMMAND…: runs with output in a log file; shows its end when it fails. A dot every few
# seconds shows that it is alive.
logged() {
    local name=$1 log="$log_dir/$1.log" pid status=0
    shift
    "$@" >"$log" 2>&1 &
    pid=$!
    local waited=0
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        waited=$((waited + 1))
        [ $((waited % 15)) -ne 0 ] || say "  … $name is still at it ($(tail -n 1 "$log" | cut -c1-100))"
    done
    wait "$pid" || status=$?
    [ "$status" -eq 0 ] && return 0
    tail -n 25 "$log" >&2
    return "$status"
}

# install_packages LIST…: installs what is missing from config/packages/LIST. A line "package command" is
# satisfied by the command, wherever it came from.
install_packages() {
    local list wanted=() missing=() package command
    for list in "$@"; do
        while read -r package command; do
            case "$package" in '' | '#'*) continue ;; esac
            [ -z "$command" ] || ! command -v "$command" >/dev/null || continue
            wanted+=("$package")
        done <"$project_dir/config/packages/$list"
    done
    for package in "${wanted[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    say "installing ${#missing[@]} Debian packages"
    command -v apt-get >/dev/null || fail "this is not a Debian system (no apt-get)" \
        "install by hand: ${missing[*]}"
    logged apt-update as_root apt-get update ||
        fail "the package lists could not be read" "check the network and /etc/apt/sources.list, then run this again"
    logged apt-install as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=600 -y install --no-install-recommends "${missing[@]}" ||
        fail "some packages could not be installed" "read $log_dir/apt-install.log"
}

# need_space DIR MIB: enough free space below DIR?
need_space() {
    local free
    free=$(df --output=avail -m "$1" | tail -n 1)
    [ "$free" -ge "$2" ] || fail "only $free MiB are free in $1, $2 MiB are needed" "make room there and run this again"
}

# hypervisor_account: libvirt's in-process driver wants the account its daemon package would make.
hypervisor_account() {
    getent passwd libvirt-qemu >/dev/null ||
        as_root useradd --system --no-create-home --home-dir /var/lib/libvirt --shell /usr/sbin/nologin \
            --user-group libvirt-qemu
}

# build_programs BUILD-DIR TARGET…: configures and builds.
build_programs() {
    local build=$1
    shift
    # What was compiled in another clone or build folder is found again.
    export CCACHE_BASEDIR=$project_dir CCACHE_NOHASHDIR=1
    logged configure cmake -G Ninja -S "$project_dir" -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DCMAKE_CXX_COMPILER_LAUNCHER=ccache || fail "the build could not be configured" "read $log_dir/configure.log"
    logged build ninja -C "$build" "$@" || fail "the build failed" "read $log_dir/build.log"
}
