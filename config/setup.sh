# Shared by quickstart and run-tests: progress, clear failures, packages, locks, jobs that run beside each other, the
# build. Sourced by bash, never run. The script that sources this sets project_dir and log_dir.
# shellcheck shell=bash

readonly project_dir="${project_dir:?set by the script that sources this}"
readonly log_dir="${log_dir:?set by the script that sources this}"
started_at=$(date +%s)
# A user's own mask must not decide what guests and the accounts of QEMUs can read; secrets are made with 077 where
# they are made.
umask 022
# Where mke2fs, useradd and iptables are; an ordinary user's PATH lacks them.
PATH=$PATH:/usr/sbin:/sbin

# ------------------------------------------------------------------------------------------------- progress
on_terminal=
columns=80
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
    on_terminal=yes
    columns=$(stty size 2>/dev/null </dev/tty | cut -d' ' -f2)
    [ "${columns:-0}" -gt 20 ] || columns=80
fi
last_progress_at=$started_at

# stamped TEXT: the text after the seconds since the start.
stamped() { printf '[%4ds]  %s' "$(($(date +%s) - started_at))" "$*"; }

# say TEXT: one line that stays.
say() {
    [ -z "$on_terminal" ] || printf '\r\033[K'
    printf '%s\n' "$(stamped "$*")"
}

# renew TEXT: what is going on. On a terminal the line is renewed; elsewhere a line every 15 seconds.
renew() {
    local line now
    line=$(stamped "$*")
    if [ -n "$on_terminal" ]; then
        printf '\r%s\033[K' "${line:0:columns-1}"
        return 0
    fi
    now=$(date +%s)
    [ $((now - last_progress_at)) -ge 15 ] || return 0
    last_progress_at=$now
    printf '%s\n' "$line"
}

# fail TEXT NEXT-STEP: says what went wrong and what to do, and ends.
fail() {
    [ -z "$on_terminal" ] || printf '\r\033[K'
    printf '\nCannot go on: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'Next step:    %s\n' "$2" >&2
    exit 1
}

# ------------------------------------------------------------------------------------------------- rights
# as_root COMMAND…: directly as root, through sudo otherwise. A job has no terminal to ask for a password at.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo ${in_job:+-n} -- "$@"; fi
}

# be_root_later: asks for sudo's password now, and keeps the permission until this script ends.
be_root_later() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null ||
        fail "this is neither root nor is there sudo" "run this as root, or install sudo and give $(id -un) the right to use it"
    sudo -v || fail "sudo refused $(id -un)" "give $(id -un) the right to use sudo, or run this as root"
    local script=$$
    (while sleep 50 && kill -0 "$script" 2>/dev/null && sudo -n -v 2>/dev/null; do :; done) 7<&- 8<&- >/dev/null 2>&1 </dev/null &
}

# ------------------------------------------------------------------------------------------------- locks
# hold_lock DESCRIPTOR FILE: ends with the name of the other process when another run holds the lock. Descriptors 7
# and 8 are for this; programs that stay are started without them. A compiler or an installer that a killed run
# left behind holds the lock as well, until it ends.
hold_lock() {
    local file=$2 holder pid
    if [ ! -e "$file" ]; then
        # shellcheck disable=SC2016  # expanded by the inner shell
        { : >>"$file"; } 2>/dev/null || as_root sh -c ': >>"$1"' sh "$file" ||
            fail "the lock $file cannot be made" "check who may write to $(dirname "$file")"
    fi
    eval "exec $1<\"\$file\"" || fail "the lock $file cannot be opened" "check who may read it"
    if flock -n "$1"; then
        holder="process $$ of $(id -un), ${0##*/}, since $(date '+%H:%M:%S')"
        if [ -w "$file" ]; then echo "$holder" >"$file"; else echo "$holder" | as_root tee "$file" >/dev/null; fi
        return 0
    fi
    holder=$(head -c 200 "$file")
    pid=$(sed -n 's/^process \([0-9]*\) .*/\1/p' <<<"$holder")
    if [ -n "$pid" ] && [ -d "/proc/$pid" ]; then
        fail "another run is at work here: $holder" "wait until it has ended, or end it with: kill $pid"
    fi
    fail "what a killed run began is still at work here: $(lock_holders "$file")" "wait a moment, then run this again"
}

# lock_holders FILE: the processes that have it open, for a message.
lock_holders() {
    local link pid found=()
    for link in /proc/[0-9]*/fd/[78]; do
        [ "$(readlink "$link" 2>/dev/null)" = "$1" ] || continue
        pid=${link#/proc/}
        pid=${pid%%/*}
        [ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ] || found+=("$(cat "/proc/$pid/comm" 2>/dev/null) ($pid)")
    done
    echo "${found[*]:-processes of another account}"
}

# own_build_folder: the build folder is this account's, and no other run compiles in it.
own_build_folder() {
    local owner
    mkdir -p "$log_dir" 2>/dev/null || true
    if [ ! -w "$log_dir" ] || [ ! -w "$project_dir/build" ]; then
        owner=$(stat -c %U "$project_dir/build" 2>/dev/null || stat -c %U "$project_dir")
        fail "$(id -un) cannot write to $project_dir/build, which belongs to $owner" \
            "run this as $owner, or clone the project again as $(id -un)"
    fi
    hold_lock 7 "$project_dir/build/lock"
}

# Where room was asked for, and where compilers and installers put what is temporary.
disks=(/ /tmp /var)

# full_disks: those of them that have no room left. Tools do not always say that this is why they failed, and a log on
# such a disk loses its end.
full_disks() {
    { df --output=avail,target -m "${disks[@]}" 2>/dev/null || true; } | awk 'NR > 1 && $1 < 32 { sub(/^ *[0-9]+ +/, ""); print }' | sort -u | paste -sd' '
}

# need_space DIR MIB [DIR MIB…]: is there room for what each folder grows to? What is in it already counts.
need_space() {
    local dir wanted used free device
    local -A on_device=() named=()
    while [ $# -ge 2 ]; do
        dir=$1 wanted=$2
        shift 2
        used=0
        [ ! -e "$dir" ] || used=$(as_root du -sm "$dir" 2>/dev/null | cut -f1)
        while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
        device=$(df --output=target "$dir" | tail -n 1)
        wanted=$((wanted > ${used:-0} + 300 ? wanted - ${used:-0} : 300))
        on_device[$device]=$((${on_device[$device]-0} + wanted))
        disks+=("$device")
        named[$device]="${named[$device]:+${named[$device]}, }$dir"
    done
    for device in "${!on_device[@]}"; do
        free=$(df --output=avail -m "$device" | tail -n 1)
        [ "$free" -ge "${on_device[$device]}" ] ||
            fail "the disk of ${named[$device]} has $((free)) MiB free, ${on_device[$device]} MiB are needed" "make room there and run this again"
    done
}

# ------------------------------------------------------------------------------------------------- jobs
# What runs beside this script, by name: the process, which leads a process group of its own, and when it began.
declare -A job_pid=() job_began=()

# begin JOB COMMAND…: starts it beside this script, with its output in the log of that name.
begin() {
    local name=$1
    shift
    job_began[$name]=$(date +%s)
    set -m
    { in_job=yes; trap - EXIT INT TERM HUP; "$@"; } >"$log_dir/$name.log" 2>&1 </dev/null &
    job_pid[$name]=$!
    set +m
}

# wait_for JOB…: until these have ended well, with progress of all jobs meanwhile. A job that fails, also one that is
# not waited for, ends the script.
wait_for() {
    local name status seconds waiting=yes
    while [ -n "$waiting" ]; do
        waiting=
        for name in "${!job_pid[@]}"; do
            kill -0 "${job_pid[$name]}" 2>/dev/null && continue
            status=0
            wait "${job_pid[$name]}" || status=$?
            unset "job_pid[$name]"
            [ "$status" -eq 0 ] || job_failed "$name"
            seconds=$(($(date +%s) - job_began[$name]))
            [ "$seconds" -lt 5 ] || say "$name: done in $seconds s"
        done
        for name in "$@"; do [ -z "${job_pid[$name]-}" ] || waiting=yes; done
        [ -z "$waiting" ] && break
        renew "$(job_progress)"
        sleep 0.5
    done
}

# run JOB COMMAND…: the same for one job, now.
run() {
    begin "$@"
    wait_for "$1"
}

# job_failed JOB: the end of its log, the reason and the next step. fail() and the tools of the image have said both in
# their own ways.
job_failed() {
    local log=$log_dir/$1.log reason next full
    [ -z "$on_terminal" ] || printf '\r\033[K'
    reason=$(sed -nE 's/^(Cannot go on|build-image|pack-agent|pack-programs): (.*)/\2/p' <(grep -B1 -E '^(Next step:  |  next:)' "$log") | tail -n 1)
    next=$(sed -nE 's/^(Next step:   |  next:) (.*)/\2/p' "$log" | tail -n 1)
    full=$(full_disks)
    if [ -n "$full" ] || grep -qi 'no space left on device' "$log"; then
        reason="$1 failed: the disk ${full:+of $full }is full (df -h shows all)"
        next="make room and run this again; it goes on where it was"
    fi
    grep -vE '^(Cannot go on: .*|Next step:  .*|  next: .*|)$' "$log" | tail -n 25 >&2
    fail "${reason:-$1 failed}" "${next:-read $log, and run this again: it goes on where it was}"
}

# job_progress: what all jobs do, in one line.
job_progress() {
    local name line=
    for name in build image packages demonstration; do
        [ -z "${job_pid[$name]-}" ] || line+="${line:+ · }$(progress_of "$name")"
    done
    echo "$line"
}

# progress_of JOB: from the end of its log: steps of the compiler with about how long the rest takes, packages, or the
# last line.
progress_of() {
    local name=$1 log=$log_dir/$1.log last steps done_steps all_steps seconds left='' installing
    last=$(tail -n 1 "$log" 2>/dev/null)
    steps=$(grep -oE '^\[[0-9]+/[0-9]+\]' "$log" 2>/dev/null | tail -n 1)
    if [ "$name" = build ] && [ -n "$steps" ]; then
        steps=${steps//[\[\]]/}
        done_steps=${steps%/*} all_steps=${steps#*/}
        seconds=$(($(date +%s) - job_began[build]))
        if [ "$seconds" -ge 10 ] && [ "$done_steps" -ge 3 ]; then
            left=$((seconds * (all_steps - done_steps) / done_steps))
            if [ "$left" -lt 60 ]; then left=", less than a minute left"; else left=", about $(((left + 30) / 60)) min left"; fi
        fi
        echo "compiling [$steps]$left"
        return 0
    fi
    case $name-$last in
        build-*) echo "configuring the build" ;;
        *-) echo "$name: starting" ;;
        *-Get:* | *-Hit:* | *-Ign:* | *-Fetched* | *-Reading* | *-Building\ dep*) echo "$name: fetching Debian packages" ;;
        *-Selecting* | *-Preparing* | *-Unpacking* | *-Setting\ up* | *-'(Reading'* | *-Processing*)
            installing=$(sed -n 's/.* \([0-9]*\) newly installed.*/\1/p' "$log" | tail -n 1)
            done_steps=$(grep -cE '^(Unpacking|Setting up) ' "$log" || true)
            echo "$name: installing Debian packages [$((done_steps / 2))/${installing:-?}]" ;;
        *) echo "$name: $(sed 's/^build-image: //; s/^ *//' <<<"$last" | cut -c1-70)" ;;
    esac
}

# end_jobs: ends what was begun, and waits for it. An installer finishes the package it is at, makers of images remove
# what is half made.
end_jobs() {
    local name group waited
    for name in "${!job_pid[@]}"; do as_root kill -INT -- "-${job_pid[$name]}" 2>/dev/null || true; done
    for name in "${!job_pid[@]}"; do
        group=${job_pid[$name]}
        waited=0
        while as_root kill -0 -- "-$group" 2>/dev/null && [ "$waited" -lt 600 ]; do
            [ "$waited" -ne 10 ] || say "waiting for $name to end in order"
            sleep 0.2
            waited=$((waited + 1))
        done
        as_root kill -KILL -- "-$group" 2>/dev/null || true
    done
    job_pid=()
}

# What an interruption leaves running, in a sentence.
still_running=

# interrupted SIGNAL-NUMBER: by Ctrl-C, or by a signal of another process.
interrupted() {
    trap '' INT TERM HUP
    end_jobs
    [ -z "$on_terminal" ] || printf '\r\033[K'
    printf '\nInterrupted. What is half made is not used: run %s again, it goes on where it was.\n%s' "${0##*/}" "${still_running:+$still_running$'\n'}" >&2
    exit $((128 + $1))
}

# end_jobs_at_exit: from here on no way out leaves a job.
end_jobs_at_exit() {
    trap end_jobs EXIT
    trap 'interrupted 1' HUP
    trap 'interrupted 2' INT
    trap 'interrupted 15' TERM
}

# ------------------------------------------------------------------------------------------------- packages
# missing_packages LIST…: what is missing of config/packages/LIST. A line "package command" is satisfied by the
# command, wherever it came from.
missing_packages() {
    local list package command wanted=()
    for list in "$@"; do
        while read -r package command; do
            case "$package" in '' | '#'*) continue ;; esac
            [ -z "$command" ] || ! command -v "$command" >/dev/null || continue
            wanted+=("$package")
        done <"$project_dir/config/packages/$list"
    done
    # dpkg-query complains of those it has never heard of; they are missing too.
    { dpkg-query -W -f='${db:Status-Abbrev}${Package}\n' "${wanted[@]}" 2>/dev/null || true; } | sed -n 's/^.i //p' | sort -u |
        comm -13 - <(printf '%s\n' "${wanted[@]}" | sort -u)
}

# finish_installation: configures what was unpacked and no more. What looks interrupted may be the work of another
# installer, which holds dpkg's lock: it is waited for, as apt-get does, for at most ten minutes.
finish_installation() {
    local said
    for _ in $(seq 300); do
        said=$(as_root env DEBIAN_FRONTEND=noninteractive dpkg --configure -a 7<&- 8<&- 2>&1) && return 0
        printf '%s\n' "$said"
        grep -q 'lock' <<<"$said" || return 1
        sleep 2
    done
    return 1
}

# install_packages LIST…: installs what is missing. Output is for a log.
install_packages() {
    local missing lists_read=$log_dir/package-lists-read
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        fail "this is not a Debian system (no apt-get)" "use Debian 12, or install what config/packages lists and put an apt-get that does nothing into the PATH"
    fi
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -ne 0 ] || return 0
    if [ -n "$(dpkg --audit)" ]; then
        echo "finishing an installation that was interrupted"
        finish_installation ||
            fail "an interrupted installation of packages could not be finished" "run: sudo dpkg --configure -a"
    fi
    if [ -z "$(find "$lists_read" -mmin -60 2>/dev/null)" ]; then
        as_root apt-get -o Acquire::Retries=2 update 7<&- 8<&- ||
            fail "the package lists could not be read" "check the network and /etc/apt/sources.list, then run this again"
        : >"$lists_read"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=2 -o DPkg::Lock::Timeout=600 -y install \
        --no-install-recommends "${missing[@]}" 7<&- 8<&- || {
        rm -f "$lists_read"
        fail "these Debian packages could not be installed: ${missing[*]}" \
            "check the network and /etc/apt/sources.list, then run this again: what was fetched is kept"
    }
}

# hypervisor_account: libvirt's in-process driver wants the account its daemon package would make.
hypervisor_account() {
    getent passwd libvirt-qemu >/dev/null ||
        as_root useradd --system --no-create-home --home-dir /var/lib/libvirt --shell /usr/sbin/nologin \
            --user-group libvirt-qemu
}

# ------------------------------------------------------------------------------------------------- image and build
# make_image OPTION…: the guest image, unless it is there; for a log. Without the descriptors of our locks: mmdebstrap
# gives a shell the number of a pipe of its own, and dash knows none above 9. build-image has a lock of its own.
make_image() { "$project_dir/nodes/image/build-image" "$@" 7<&- 8<&-; }

# build_jobs: as many compilers as there are processors, and memory for: one takes up to 1.5 GiB.
build_jobs() {
    local by_memory
    by_memory=$(($(awk '/MemAvailable/ {print int($2 / 1024)}' /proc/meminfo) / 1536))
    [ "$by_memory" -ge 1 ] || by_memory=1
    echo $((by_memory < $(nproc) ? by_memory : $(nproc)))
}

# build_programs PRESET TARGET…: configures build/PRESET and builds; for a log. What is tested or made beside it goes
# first.
build_programs() {
    local preset=$1
    shift
    # What was compiled in another clone or build folder is found again.
    export CCACHE_BASEDIR=$project_dir CCACHE_NOHASHDIR=1
    (cd "$project_dir" && cmake --preset "$preset" -DCMAKE_CXX_COMPILER_LAUNCHER=ccache) ||
        fail "the build could not be configured" "read $log_dir/build.log"
    nice -n 10 ninja -C "$project_dir/build/$preset" -j "$(build_jobs)" "$@" || fail "the build failed" "read $log_dir/build.log"
}
