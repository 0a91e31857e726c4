#!/usr/bin/env bash
# cluster.sh: a pipeline on a real cluster that loses a machine in mid-run. Takes about two minutes; leaves nothing behind.
#
# Everything is a process of its own on this machine, on free ports: an S3 server (tests/s3), an MLflow server, the head of a
# Ray cluster that asks for a token, and two Ray nodes of one CPU each. A pipeline with two workers is submitted and followed.
# When its first experience is committed, one node is killed with all its processes: the run goes on with the worker that is
# left. In the end it is looked for in MLflow, by its API, and in S3, where the cluster indexes files, too. Submitted again,
# it has nothing left to train.
#
#   PYTHON             the interpreter with Everlearn              (default: .venv/bin/python)
#   EVERLEARN_E2E_S3   any text: use the S3 server that AWS_* lead to, instead of starting one
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
bin=$(dirname "$python")
# Ray's sockets lie in the folder, and their paths must be short.
folder=$(mktemp -d /tmp/evXXXXXX)
declare -A started=()

say() { printf '\n\033[1m%s\033[0m  (%d s)\n' "$*" "$SECONDS"; }
fail() {
  echo "cluster.sh: $*" >&2
  for log in "$folder"/*.log; do [ -s "$log" ] && { echo "--- $log" >&2; tail -n 15 "$log" >&2; }; done
  exit 1
}
tree() { # PID: it and its descendants
  local child
  echo "$1"
  for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do tree "$child"; done
}
start() { # NAME COMMAND...: in the background, with its output in a log
  setsid "${@:2}" </dev/null >"$folder/$1.log" 2>&1 &
  started[$1]=$!
}
finish() { # NAME SIGNAL: end what was started, and what it has started
  local everyone
  [ -n "${started[$1]:-}" ] || return 0
  everyone=$(tree "${started[$1]}")
  kill -s "$2" $everyone 2>/dev/null || true
  wait "${started[$1]}" 2>/dev/null || true
  unset "started[$1]"
}
clean() {
  local name
  for name in "${!started[@]}"; do finish "$name" KILL; done
  [ -d "$folder/s3" ] && "$root/tests/s3/stop.sh" --kill --wipe "$folder/s3" || true
  # Ray's workers notice by themselves that their node is gone; until then they may still write.
  for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$folder" 2>/dev/null && break; sleep 0.5; done
}
trap clean EXIT
trap 'exit 130' INT TERM

[ -x "$python" ] || fail "$python is not there: \`make test\` makes it, PYTHON names another"

cd "$folder"
ports=($("$python" - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(11)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
PYTHON
))
gcs=${ports[0]} dashboard=${ports[1]} client=${ports[2]} mlflow=${ports[3]}

say "in $folder: an S3 server, an MLflow server, the head of a Ray cluster"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$folder/token RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0
export MLFLOW_DISABLE_TELEMETRY=true OMP_NUM_THREADS=1 PATH=$bin:$PATH
unset RAY_ADDRESS RAY_API_SERVER_ADDRESS RAY_AUTH_TOKEN RAY_RUNTIME_ENV_HOOK
(umask 077 && "$python" -c 'import secrets; print(secrets.token_hex(32), end="")' >token)

ray_node() { # NAME AGENT-PORT METRICS-PORT ARGUMENTS...
  start "$1" "$bin/ray" start --block --node-ip-address=127.0.0.1 --object-store-memory=80000000 --include-log-monitor=false \
    --min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port="$2" --metrics-export-port="$3" "${@:4}"
}
# A node is given up after three seconds without an answer.
RAY_health_check_initial_delay_ms=1000 RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=3000 \
  RAY_health_check_failure_threshold=3 \
  ray_node head "${ports[4]}" "${ports[5]}" --head --num-cpus=0 --temp-dir="$folder/ray" --port="$gcs" \
  --ray-client-server-port="$client" --dashboard-host=127.0.0.1 --dashboard-port="$dashboard"
MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_BACKEND_STORE_URI=sqlite:///$folder/mlflow.db \
  MLFLOW_DEFAULT_ARTIFACT_ROOT=$folder/artifacts \
  start mlflow "$python" -m mlflow server --host 127.0.0.1 --port "$mlflow" --workers 1
if [ -z "${EVERLEARN_E2E_S3:-}" ]; then
  reach=$("$root/tests/s3/start.sh" "$folder/s3" $((20000 + RANDOM % 1100 * 10))) || fail "the S3 server did not start"
  export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
  export $reach
fi

bucket=everlearn-e2e-$$
"$python" - "$dashboard" "$mlflow" "$bucket" <<'PYTHON' || fail "a server did not start"
import sys, time, urllib.error, urllib.request
import boto3

for port, path in ((sys.argv[1], "/api/version"), (sys.argv[2], "/health")):
    until = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()
            break
        except urllib.error.HTTPError:
            break  # it answers: that it wants a token
        except OSError:
            if time.monotonic() > until:
                sys.exit(f"nobody listens on port {port}")
            time.sleep(0.25)
boto3.client("s3").create_bucket(Bucket=sys.argv[3])
PYTHON

say "two nodes of one CPU each"
for number in 1 2; do
  ray_node "node$number" "${ports[4 + 2 * number]}" "${ports[5 + 2 * number]}" --num-cpus=1 --temp-dir="$folder/n$number" \
    --address="127.0.0.1:$gcs"
done
cat >nodes.py <<'PYTHON'
"""nodes.py PORT STATE COUNT: wait until so many nodes of one CPU are ALIVE or DEAD."""

import json, os, sys, time, urllib.request
from pathlib import Path

port, state, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
token = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text()
request = urllib.request.Request(
    f"http://127.0.0.1:{port}/api/v0/nodes?limit=100", headers={"Authorization": f"Bearer {token}"}
)
until = time.monotonic() + 90
while time.monotonic() < until:
    with urllib.request.urlopen(request, timeout=10) as answer:
        nodes = json.load(answer)["data"]["result"]["result"]
    if sum(node["state"] == state and not node["is_head_node"] for node in nodes) >= count:
        sys.exit()
    time.sleep(0.5)
sys.exit(f"there are not {count} {state} nodes: {nodes}")
PYTHON
"$python" nodes.py "$dashboard" ALIVE 2 || fail "the nodes did not join"

mkdir modules
cat >modules/mine.py <<'PYTHON'
from strategies.methods.naive import Naive


class Mine(Naive):
    name = "mine"
PYTHON
cat >e2e.yaml <<YAML
name: e2e
stream: {dataset: digits, setting: class-incremental, order: [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]}
model: {name: mlp, hidden: [64]}
strategy: [{name: "mine:Mine"}, {name: ewc, lambda: 10}, {name: replay, capacity: 200, ratio: 0.5}]
train: {steps: 1500, batch_size: 32, checkpoint_every: 100, optimizer: {name: adam, lr: 0.001}}
scaling: {workers: [1, 2]}
storage: s3://$bucket/lineages
cluster:
  address: http://127.0.0.1:$dashboard
  env: [MLFLOW_TRACKING_URI, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION]
YAML
export MLFLOW_TRACKING_URI=http://127.0.0.1:$mlflow RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S=20
everlearn() { "$python" -m orchestrator.cli.main "$@"; }

say "everlearn submit e2e.yaml --working-dir modules --follow"
everlearn submit e2e.yaml --working-dir modules --env RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S --follow > >(tee follow.txt) &
job=$!
for _ in $(seq 600); do
  grep -q '^ *experience 0 .*accuracy' follow.txt 2>/dev/null && break
  kill -0 "$job" 2>/dev/null || fail "the job ended before its first commit"
  sleep 0.2
done
sleep 1
say "kill -9: one of the nodes, and the worker on it"
finish node2 KILL
wait "$job" || fail "the job did not end well: exit status $?"
"$python" nodes.py "$dashboard" DEAD 1 || fail "no node died"

say "what everybody sees"
everlearn status --file e2e.yaml | tee status.txt
(cd "$root" && "$python" -m tests.e2e.look_again "http://127.0.0.1:$dashboard" "$folder/follow.txt") ||
  fail "the job looks otherwise"
grep -q 'succeeded' status.txt && grep -q 'node .* failed: ' status.txt || fail "the status says something else"
"$python" - "$mlflow" follow.txt "$bucket" <<'PYTHON' || fail "the run is not where it should be"
import json, re, sys, urllib.request
from pathlib import Path
import boto3

base = f"http://127.0.0.1:{sys.argv[1]}/api/2.0/mlflow"

def ask(path, **body):
    request = urllib.request.Request(
        f"{base}/{path}", json.dumps(body).encode() if body else None, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)

experiment = ask("experiments/get-by-name?experiment_name=e2e")["experiment"]["experiment_id"]
runs = ask("runs/search", experiment_ids=[experiment], filter="tags.`everlearn.pipeline` = 'e2e'")["runs"]
(run,) = [run for run in runs if not any(tag["key"] == "mlflow.parentRunId" for tag in run["data"]["tags"])]
metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
assert run["info"]["status"] == "FINISHED", run["info"]
assert metrics["average_accuracy"] > 0.7, metrics

s3, bucket = boto3.client("s3"), sys.argv[3]
keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix="lineages/e2e/")["Contents"]]
# Ray's scratch and the checkpoints are gone; what ends in a slash is a folder's marker, which pyarrow makes.
assert not (left := [key for key in keys if "/runs/" in key and not key.endswith("/")]), left
commits = {key.rpartition("/")[2].removesuffix(".json") for key in keys if "/commits/" in key}
latest = json.load(s3.get_object(Bucket=bucket, Key="lineages/e2e/refs/latest.json")["Body"])["commit"]
assert len(commits) == 3 and latest in commits and tags["everlearn.commit"] == latest, (commits, latest, tags)
told = Path(sys.argv[2]).read_text()
assert f"up to commit {latest[:12]}" in told, "submit named another commit"
assert f"/runs/{run['info']['run_id']}" in told, "the run's page was not named"
assert re.search(r"resuming experience \d", told), "the run did not go on in the middle of an experience"
print(f"MLflow: run {run['info']['run_id']}, average accuracy {100 * metrics['average_accuracy']:.1f} %")
print(f"S3:     {len(commits)} commits, the latest {latest[:12]}")
PYTHON

# The node that is left reads them.
(cd "$root" && RAY_ADDRESS=127.0.0.1:$gcs "$python" -m tests.e2e.index_in_s3 "$bucket") || fail "the index in S3 is another one"

say "submitted again, there is nothing to train"
everlearn submit e2e.yaml --working-dir modules --follow --json >again.json || fail "the second job did not end well"
"$python" -c 'import json; found = json.load(open("again.json"))["result"]; assert found["reused"] == 3, found' ||
  fail "the second job did not find everything"
say "done"
