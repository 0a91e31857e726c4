#!/usr/bin/env bash
# fetch.sh: unpack Ceph (object gateway, monitor, OSD) from Debian packages into a folder of its own, and print that folder.
#
# Nothing is installed: no root needed, no file outside the folder is touched. About 110 MB to download, once, and 350 MB
# on disk. Needs apt-get, apt-cache, dpkg-deb and the Debian archive's keyring, which every Debian machine has.
#
#   EVERLEARN_S3_CACHE   the folder            (default: ~/.cache/everlearn/s3)
#   EVERLEARN_S3_SUITE   the Debian suite      (default: forky, whose Ceph 20.2 has conditional writes)
#   EVERLEARN_S3_MIRROR  the Debian mirror     (default: the one this machine uses)
set -euo pipefail

cache=${EVERLEARN_S3_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/everlearn/s3}
suite=${EVERLEARN_S3_SUITE:-forky}
root=$cache/ceph-$suite
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() { echo "fetch.sh: $*" >&2; exit 1; }

[ -f "$root/.complete" ] && { echo "$root"; exit 0; }

for tool in apt-get apt-cache dpkg-deb flock; do
  command -v "$tool" >/dev/null || fail "$tool is needed: this works on Debian and its relatives"
done
[ -f "$keyring" ] || fail "$keyring is needed (package debian-archive-keyring)"
mirror=${EVERLEARN_S3_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep '/debian/*$' | head -1 || true)}
[ -n "$mirror" ] || fail "no Debian mirror is configured; set EVERLEARN_S3_MIRROR"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock -w 600 9 || fail "another fetch holds $cache/lock"
[ -f "$root/.complete" ] && { echo "$root"; exit 0; }

work=$(mktemp -d "$cache/fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/lists/partial "$work"/archives/partial "$work"/debs "$work"/root
echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
apt=(-q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences=/dev/null
  -o Dir::Etc::PreferencesParts=/dev/null -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work"
  -o Dir::State::status=/dev/null -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root)

{
  apt-get "${apt[@]}" update
  # The daemons, and of what they depend on the shared libraries that they load.
  daemons='radosgw|ceph-mon|ceph-osd|ceph-base|ceph-common'
  unneeded='python|perl|systemd-shared|apt-pkg|binutils|gprofng|ctf|sframe|pam|lvm|crypt|glib2|rgw|rbd|cephfs|sqlite3-mod|deb'
  # shellcheck disable=SC2086
  apt-cache "${apt[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances -i ${daemons//|/ } |
    grep -E "^($daemons|zlib1g|lib.*)\$" | grep -vE "^lib($unneeded)" | sort -u >"$work/packages"
  cd "$work/debs"
  # shellcheck disable=SC2046
  apt-get "${apt[@]}" download $(cat "$work/packages")
} >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; fail "the packages of Debian $suite could not be fetched from $mirror"; }

find "$work/debs" -name '*.deb' -print0 | xargs -0 -P "$(nproc)" -I{} dpkg-deb -x {} "$work/root"
rm -rf "$work/root"/usr/share/{doc,man,locale} "$root"
touch "$work/root/.complete"
mv "$work/root" "$root"
echo "$root"
