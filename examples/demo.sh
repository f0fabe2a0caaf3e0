#!/usr/bin/env bash
# The whole story on a sandbox: plan, apply, plan again, retire a tag, look at its tombstone, take it back.
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
run() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; "$@" 2>&1; }
use() { sed "s/target.example/$target/; s/source.example/$source/" "$here/demo/$1" >replicated-images.yaml; }

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
use 1-first.yaml
run cat replicated-images.yaml
run replsync validate
say "plan compares it with the registry; apply makes it so"
run replsync plan
run replsync apply --auto-approve

say "Planned again, there is nothing to do: exit code 0"
run replsync plan --detailed-exitcode

say "Retire worker:1.9.3: nothing can be deleted, so a tombstone takes its place"
cp replicated-images.yaml before.yaml
use 2-retired.yaml
run diff before.yaml replicated-images.yaml || true
run replsync plan
run replsync apply --auto-approve
run replsync plan --detailed-exitcode

say "List it again, and what the tombstone replaced is put back: same digest, nothing sent"
use 1-first.yaml
run replsync apply --auto-approve
run replsync plan --detailed-exitcode

say "That was all. The sandboxes are gone; start your own with: replsync sandbox"
