#!/usr/bin/env bash
# start.sh [FOLDER [PORT]]: start a real S3 server on loopback and print how to reach it, as NAME=value lines.
#
# It is a Ceph RADOS Gateway with one monitor and one OSD, unpacked by fetch.sh. Its data, logs and process ids lie in FOLDER
# (default: the cache's server/). It listens on PORT (default 9640); PORT+1 and one of PORT+2..PORT+9 serve Ceph inside.
# Idempotent: what runs keeps running, and after a crash the data is there again. stop.sh ends it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${EVERLEARN_S3_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/everlearn/s3}
folder=${1:-$cache/server} port=${2:-9640}
access_key=everlearn-test-access secret_key=everlearn-test-secret

root=$("$here/fetch.sh")
mkdir -p "$folder"
cd "$folder"
folder=$PWD
exec 9>lock
flock -w 120 9 || { echo "start.sh: another start holds $folder/lock" >&2; exit 1; }

# The binaries run with their own loader and libraries, not with the host's.
loader=$(find "$root/usr" -name 'ld-linux*.so.*' -print -quit)
libraries=$(dirname "$(find "$root/usr/lib" -name 'libstdc++.so.6' -print -quit)")
export CEPH_CONF=$folder/ceph.conf LC_ALL=C
ceph() { "$loader" --library-path "$libraries:$libraries/ceph" --argv0 "$1" "$root/usr/bin/$1" "${@:2}"; }

running() { [ -f "$1.pid" ] && tr '\0' ' ' <"/proc/$(cat "$1.pid")/cmdline" 2>/dev/null | grep -qF "$root/usr/bin/"; }
daemon() { # NAME PROGRAM ARGUMENTS...
  running "$1" && return
  setsid "$loader" --library-path "$libraries:$libraries/ceph" --argv0 "$2" "$root/usr/bin/$2" "${@:3}" \
    </dev/null >>"$1.out" 2>&1 9>&- &
  echo $! >"$1.pid"
}
answers() { timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && printf 'HEAD / HTTP/1.0\r\n\r\n' >&3 && head -1 <&3" 2>/dev/null | grep -q ' 200 '; }
fail() { echo "start.sh: $*; see $folder/*.out" >&2; exit 1; }

[ -f fsid ] || cat /proc/sys/kernel/random/uuid >fsid
cat >ceph.conf <<CONF
[global]
fsid = $(cat fsid)
mon_host = v2:127.0.0.1:$((port + 1))/0
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
ms_bind_port_min = $((port + 2))
ms_bind_port_max = $((port + 9))
keyring = $folder/keyring
log_file = $folder/\$name.log
admin_socket =
run_dir = $folder
pid_file =
plugin_dir = $libraries/ceph
erasure_code_dir = $libraries/ceph/erasure-code
osd_class_dir = $libraries/rados-classes
mon_data = $folder/mon
osd_data = $folder/osd
rgw_data = $folder
mon_data_avail_crit = 1
# one copy of everything on one OSD
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_crush_update_on_start = false
osd_class_update_on_start = false
mon_max_pg_per_osd = 2000
bluestore_block_size = 21474836480
osd_memory_target = 939524096
# elections, proposals and retries within milliseconds: nobody else is there
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
mon_tick_interval = 1
mon_client_hunt_interval = 0.5
objecter_tick_interval = 0.5
rgw_thread_pool_size = 64
debug_osd = 0
debug_bluestore = 0
debug_bluefs = 0
debug_bdev = 0
debug_rocksdb = 0
CONF

if [ ! -f made ]; then
  rm -rf mon osd keyring monmap osdmap
  mkdir osd
  {
    ceph ceph-authtool --create-keyring keyring --gen-key -n mon. --cap mon 'allow *'
    ceph ceph-authtool keyring --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    ceph ceph-authtool keyring --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
    ceph monmaptool --create --clobber --addv a "[v2:127.0.0.1:$((port + 1))]" --fsid "$(cat fsid)" monmap
    ceph osdmaptool --createsimple 1 --clobber osdmap
    ceph ceph-mon --mkfs -i a --monmap monmap --osdmap osdmap --keyring keyring
    ceph ceph-osd -i 0 --mkfs --no-mon-config --osd-uuid "$(cat /proc/sys/kernel/random/uuid)"
  } >make.out 2>&1 9>&- || { tail -5 make.out >&2; fail "the cluster could not be made"; }
  touch made
fi

daemon mon ceph-mon -f -i a
daemon osd ceph-osd -f -i 0
if [ ! -f user ]; then
  # radosgw-admin waits for the daemons; a cluster that does not come up must not make it wait for ever.
  ceph radosgw-admin user create --uid=everlearn --display-name=everlearn --access-key="$access_key" \
    --secret-key="$secret_key" >user.out 2>&1 9>&- &
  admin=$!
  for _ in $(seq 600); do kill -0 $admin 2>/dev/null || break; sleep 0.1; done
  kill $admin 2>/dev/null && fail "the cluster did not come up within 60 s"
  wait $admin || { tail -3 user.out >&2; fail "the user could not be made"; }
  touch user
fi
daemon rgw radosgw -f -n client.admin --rgw_frontends="beast endpoint=127.0.0.1:$port tcp_nodelay=1"

for _ in $(seq 600); do
  if answers; then
    printf 'AWS_ENDPOINT_URL=http://127.0.0.1:%s\nAWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\nAWS_REGION=us-east-1\n' \
      "$port" "$access_key" "$secret_key"
    exit 0
  fi
  # Not by name: just after its start it still is a shell.
  kill -0 "$(cat rgw.pid)" 2>/dev/null || fail "the gateway stopped"
  sleep 0.1
done
fail "the gateway did not answer within 60 s"
