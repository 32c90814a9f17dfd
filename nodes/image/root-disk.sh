# The slow part of build-image: packages -> file tree -> root disk. Sourced by build-image, which sets
# recipe, work, suite and epoch and has as_root, become_as_root, step, check_space and fail.
# Leaves in $work/build: vmlinuz, base.img and root-info/ (modules of the initramfs, packages, release,
# tree_mib), which is all that a build needs that does not have to make the root disk again.
# shellcheck shell=bash disable=SC2154  # the variables named above are build-image's

readonly image_mib=2048
readonly needed_mib=5000
readonly fs_uuid=5d1f6a5e-0c1b-4c55-9a52-756e64657273
readonly fs_hash_seed=8e6a1f0e-3c0e-4f57-8d0b-737475647921

# The sources this machine itself installs Debian from, one line each.
list_sources() {
  # shellcheck disable=SC2016
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' "Codename: $suite" > "$work/sources.list"
  # shellcheck disable=SC2016
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    grep -E " $suite-(updates|security) " >> "$work/sources.list" || true
  sort -u -o "$work/sources.list" "$work/sources.list"
  [[ -s $work/sources.list ]] || fail "this machine has no package source for Debian 12 ($suite)" "add one to /etc/apt and run apt-get update"
}

kernel_package() {
  apt-cache show --no-all-versions linux-image-cloud-amd64 2> /dev/null |
    sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*-cloud-amd64\).*/\1/p' | head -n 1
}

make_tree() {
  local options=() kernel=$1 line
  while read -r line; do
    case $line in
      '!'*) options+=("--dpkgopt=path-include=${line#!}") ;;
      *) options+=("--dpkgopt=path-exclude=$line") ;;
    esac
  done < <(grep -v '^#' "$recipe/excludes.list")
  # What the machine was told about proxies holds for the image as well.
  while read -r line; do options+=("--aptopt=$line"); done < <(apt-config dump | grep -E '^Acquire::(http|https)::[Pp]roxy ' || true)
  # shellcheck disable=SC2016  # expanded by the shell that runs the hook; RECIPE may have spaces in it
  # In the background, so that an interruption reaches it. In a mount namespace of its own, so that what it mounts in
  # the tree ends with it, however it ends.
  become_as_root unshare --mount env RECIPE="$recipe" WORK="$work" KERNEL="$kernel" SOURCE_DATE_EPOCH="$epoch" \
    mmdebstrap --mode=root --variant=minbase --quiet --aptopt='APT::Install-Recommends "0"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt=force-unsafe-io --include="$(grep -v -e '^#' -e '^$' "$recipe/packages.list" | paste -sd,)" "${options[@]}" \
    --customize-hook='"$RECIPE/customize-rootfs" "$1"' "$suite" "$work/tree" "$work/sources.list" > "$work/mmdebstrap.log" 2>&1 &
  installer=$!
  wait "$installer" || {
    installer=
    tail -n 25 "$work/mmdebstrap.log" >&2
    fail "the packages could not be installed (the last lines are above)" "check the package sources with apt-get update, then run this again"
  }
  installer=
  grep '^    ' "$work/mmdebstrap.log" || true
}

# mmdebstrap's own last steps come after customize-rootfs.
settle_tree() {
  as_root rm -rf "$work/tree/etc/apt/sources.list" "$work/tree/dev" "$work/tree/etc/hostname"
  as_root mkdir -m 755 "$work/tree/dev"
  as_root find "$work/tree" -newermt "@$epoch" -exec touch --no-dereference --date="@$epoch" {} +
}

# When the tree's files were changed and read is the moment of the build and can't be set on a live file
# system; in the image it can.
set_times() {
  local inodes
  inodes=$(dumpe2fs -h "$1" 2> /dev/null | awk '/^Inode count:/ { all = $3 } /^Free inodes:/ { free = $3 } END { print all - free }')
  awk -v last=$((inodes + 1)) -v at="@$epoch" 'BEGIN { for (i = 1; i <= last; i++) if (i < 3 || i > 7) printf "sif <%d> ctime %s\nsif <%d> crtime %s\nsif <%d> atime %s\n", i, at, i, at, i, at }' > "$work/times"
  E2FSPROGS_FAKE_TIME="$epoch" debugfs -w -f "$work/times" "$1" > /dev/null 2>&1
}

make_disk() {
  local disk=$work/build/base.img
  as_root env E2FSPROGS_FAKE_TIME="$epoch" mke2fs -q -t ext4 -d "$work/tree" -U "$fs_uuid" -L understudy-root \
    -E "hash_seed=$fs_hash_seed,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0" \
    -O ^metadata_csum,^64bit -J size=16 -m 0 -i 16384 "$disk" "${image_mib}M" > /dev/null
  as_root chown "$EUID" "$disk"
  set_times "$disk"
  chmod 444 "$disk"
}

make_root() {
  local kernel info=$work/build/root-info
  check_space "$out" "$needed_mib"
  list_sources
  kernel=$(kernel_package)
  [[ -n $kernel ]] || fail "no package source offers linux-image-cloud-amd64" "run apt-get update"
  step "installing the packages into a tree (about a minute)" make_tree "$kernel"
  as_root chown -R "$EUID" "$work/initramfs" "$work/vmlinuz"
  settle_tree
  mkdir "$info"
  mv "$work/initramfs/modules" "$work/packages" "$work/release" "$info/"
  as_root du -sm "$work/tree" | cut -f1 > "$info/tree_mib"
  step "making the root disk" make_disk
  mv "$work/vmlinuz" "$work/build/"
}
