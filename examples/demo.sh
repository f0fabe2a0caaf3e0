#!/usr/bin/env bash
# The whole story on a sandbox: plan, review, apply, retire a tag, take it back, look at its history, roll back a run.
# Needs replsync and python on the PATH (`make demo` sees to that), and no network.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; wait || true; rm -rf "$work"' EXIT
cd "$work"
bold='' plain=''
[ -t 1 ] && bold=$'\033[1m' plain=$'\033[0m'

say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
quoted() { for word in "$@"; do [[ $word =~ ^[A-Za-z0-9_./:-]+$ ]] && printf ' %s' "$word" || printf ' %s' "${word@Q}"; done; }
run() { printf '%s$%s%s\n' "$bold" "$(quoted "$@")" "$plain"; "$@" 2>&1; }

# start LOG: a sandbox on a free port; its address goes to $address
start() {
  replsync sandbox --port 0 >"$1" 2>&1 &
  servers+=($!)
  for _ in $(seq 100); do
    address=$(sed -nE 's/^The sandbox serves ([0-9.:]+);.*/\1/p' "$1")
    [ -n "$address" ] && return
    kill -0 "${servers[-1]}" || break
    sleep 0.1
  done
  cat "$1" >&2
  exit 1
}

say "Two sandboxes, registries on this machine: one stands for your own, with images just built, one for Replicated's"
start source.log && source=$address
start target.log && target=$address
cat target.log
# Signed in as `docker login` would leave it; for the target an API token is enough.
export DOCKER_CONFIG=$work
printf '{"auths": {"%s": {"auth": "%s"}}}' "$source" "$(printf 'any:sandbox' | base64)" >config.json
export REPLICATED_API_TOKEN=sandbox
python "$here/demo/build_images.py" "$source" sandbox

say "The manifest says which tags should exist"
sed "s/target.example/$target/; s/source.example/$source/" "$here/demo/replicated-images.yaml" >replicated-images.yaml
run cat replicated-images.yaml
run replsync validate
say "plan compares it with the registry, and saves what it would do, for a review"
run replsync plan --out plan.json

say "apply does exactly that, and no more when it is asked again"
run replsync apply plan.json
run replsync apply --quiet plan.json

say "Planned again, there is nothing to do: exit code 0"
run replsync plan --detailed-exitcode

say "Retire worker:1.9.3: nothing can be deleted, so a tombstone takes its place"
cp replicated-images.yaml before.yaml
run replsync retire worker:1.9.3 --reason "CVE-2026-1234, use 1.10.0" --auto-approve
run diff before.yaml replicated-images.yaml || true

say "Take it back: what the tombstone replaced is put back, same digest, nothing sent"
run replsync restore worker:1.9.3 --auto-approve
run replsync history worker:1.9.3

say "Every run has a journal, and can be taken back: the last one, too"
run replsync rollback "$(ls -t .replsync/journal/*.jsonl | head -1)" --auto-approve

say "That was all. The sandboxes are gone; start your own with: replsync sandbox"
