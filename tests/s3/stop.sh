#!/usr/bin/env bash
# stop.sh [--kill] [--wipe] [FOLDER [rgw|osd|mon...]]: end the server that start.sh started in FOLDER, or parts of it.
# --kill: SIGKILL, as in a crash. --wipe: remove its data as well.
set -euo pipefail

signal=TERM wipe=
while [ $# -gt 0 ]; do
  case $1 in
    --kill) signal=KILL ;;
    --wipe) wipe=1 ;;
    *) break ;;
  esac
  shift
done
cache=${EVERLEARN_S3_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/everlearn/s3}
folder=${1:-$cache/server}
[ $# -gt 1 ] && parts=("${@:2}") || parts=(rgw osd mon)
[ -f "$folder/ceph.conf" ] || exit 0

# By process id, and only if it still is one of ours.
ours() { tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -q '/ceph-[a-z]*/usr/bin/'; }
for part in "${parts[@]}"; do
  [ -f "$folder/$part.pid" ] || continue
  pid=$(cat "$folder/$part.pid")
  if ours "$pid"; then
    kill -s "$signal" "$pid" || true
    for _ in $(seq 30); do ours "$pid" || break; sleep 0.1; done
    ours "$pid" && kill -s KILL "$pid" || true
  fi
  rm -f "$folder/$part.pid"
done
[ -z "$wipe" ] || rm -rf "$folder"
