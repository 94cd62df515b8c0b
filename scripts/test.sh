#!/usr/bin/env bash
# `make test`: everything, in the order in which a failure is cheapest. Prints a summary and the tests that could not run.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=node_modules/.bin
log=$(mktemp -d)
declare -A beside=()
# What still works beside us ends with us, with its children: each is a process group.
trap 'for group in "${beside[@]}"; do kill -- "-$group" 2>/dev/null || true; done; rm -rf "$log"' EXIT
passed=0 failed=0 skipped=0
step() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

begin() { # NAME COMMAND...: works beside what follows
  local name=$1; shift
  set -m
  "$@" >"$log/$name" 2>&1 </dev/null &
  beside[$name]=$!
  set +m
}

finish() { # NAME [LINES]: waits for it and shows the end of what it said; all of it where it failed, and that is the end of us
  local status=0
  wait "${beside[$1]}" || status=$?
  unset "beside[$1]"
  if [ "$status" = 0 ]; then tail -n "${2:-40}" "$log/$1"; else cat "$log/$1"; exit 1; fi
}

total() { # FILE WORDS: the sum of the runner's closing lines of these names
  awk -v words="$2" '$1 ~ /^(ℹ|#)$/ && $2 ~ "^(" words ")$" && $3 ~ /^[0-9]+$/ && NF == 3 { n += $3 } END { print n + 0 }' "$1"
}

count() { # FILE: adds the totals that node's runner prints at its end
  passed=$((passed + $(total "$1" pass))) failed=$((failed + $(total "$1" 'fail|cancelled')))
  skipped=$((skipped + $(total "$1" skipped)))
}

scripts/setup.sh

step "format, lint, import rule"
"$bin/biome" ci src test scripts bench
step "types"
make --no-print-directory types
step "generated files match their table"
"$bin/node" scripts/generate-ops.ts --check

# What is downloaded or compiled has time until it is used; the fuzzers, which the clock ends, have a processor of two.
machines() { scripts/fixtures.sh && scripts/vm-image.sh; }
begin machines machines
decoders() {
  # The same mutants each time, so that what fails here was caused by the change: without a seed there are new ones.
  make --no-print-directory helper-test FUZZ_SEED=20261127
  make --no-print-directory helper-fuzz HELPER_FUZZ_SECONDS=10 FUZZ_SEED=20261127 2>&1 | tail -12
  make --no-print-directory build/vitrine-helper-asan build/vitrine-helper-classic
}
begin decoders decoders

step "unit tests on node"
"$bin/node" --test 'src/**/*.test.ts' >"$log/node" 2>&1 || { sed -n '/failing tests/,$p' "$log/node"; tail -20 "$log/node"; exit 1; }
grep -E '^(ℹ|#) (tests|pass|fail|skipped) ' "$log/node"
count "$log/node"
step "unit tests on bun"
"$bin/bun" test --timeout 60000 src >"$log/bun" 2>&1 || { cat "$log/bun"; exit 1; }
tail -4 "$log/bun"

step "the helper's decoder, with ASan and UBSan, and fuzzed"
finish decoders
step "fixtures and the machines of test/vm"
finish machines

step "the helper's tests with ASan and UBSan, and as on a kernel without the mount API"
make --no-print-directory helper-sanitized >"$log/sanitized" 2>&1 || { cat "$log/sanitized"; exit 1; }
grep -E '^(build/|ℹ (pass|fail))' "$log/sanitized"
count "$log/sanitized"

lane() { # NAME COMMAND...: runs the integration and attack tests
  local name=$1; shift
  step "tests: $name"
  local status=0 before=$failed
  "$@" >"$log/$name" 2>&1 || status=$?
  grep -E '^\s*(✖|not ok)' "$log/$name" | head -40 || true
  grep -E '^\s*﹣|# SKIP' "$log/$name" | sed 's/^/  /' || true
  grep -E '^(ℹ|#) (tests|pass|fail|cancelled|skipped|duration_ms) ' "$log/$name" || { tail -50 "$log/$name"; failed=$((failed + 1)); }
  count "$log/$name"
  # A runner that broke without naming a test has failed all the same.
  if [ "$status" != 0 ] && [ "$failed" = "$before" ]; then tail -50 "$log/$name"; failed=$((failed + 1)); fi
  if grep -qE '^(ℹ|#) (fail|cancelled) [1-9]' "$log/$name"; then
    # Said again at the very end, where it is looked for.
    { echo "-- $name"; sed -n '/failing tests/,$p' "$log/$name" | head -300; } | tee -a "$log/failures"
  fi
}
suite=('test/integration/**/*.test.ts' 'test/attack/**/*.test.ts')
node=$PWD/$bin/node
# Two files at a time: much of each is waiting, and each looks at what is its own alone.
flags=(--test --test-concurrency=2 --test-timeout=600000)
if [ "$(id -u)" = 0 ]; then
  VITRINE_TEST_LANE=root lane root "$node" "${flags[@]}" "${suite[@]}"
  lane conformance "$node" "${flags[@]}" 'test/conformance/**/*.test.ts'
  # The unprivileged lane works on a copy that its user may read, whatever the mode of the checkout's parents is.
  copy=$(mktemp -d /tmp/vitrine-user-XXXXXX)
  mkdir -p "$copy/dist" "$copy/build" "$copy/node_modules"
  cp -a package.json tsconfig.json README.md docs native src test scripts "$copy/"
  cp -a dist/vitrine dist/vitrine-runtime dist/vitrine-engine dist/vitrine-helper dist/library "$copy/dist/"; cp -a build/probe build/fixtures build/hello-image.ts "$copy/build/"
  cp -a node_modules/. "$copy/node_modules/"
  chown -R vitrine-test: "$copy"; chmod 755 "$copy"
  uid=$(id -u vitrine-test)
  install -d -m 700 -o vitrine-test "/tmp/vitrine-xdg-$uid"
  lane user setpriv --reuid vitrine-test --regid vitrine-test --init-groups env -i \
    PATH="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" HOME=/home/vitrine-test LANG=C.UTF-8 \
    XDG_RUNTIME_DIR="/tmp/vitrine-xdg-$uid" VITRINE_TEST_LANE=user \
    bash -c 'cd "$1" && shift && exec "$@"' lane "$copy" "$copy/$bin/node" "${flags[@]}" "${suite[@]}"
  rm -rf "$copy"
else
  VITRINE_TEST_LANE=user lane user "$node" "${flags[@]}" "${suite[@]}"
  echo "the root lane was not run: not root"
fi

lane vm "$node" test/vm/run.ts

if [ -s "$log/failures" ]; then step "what failed"; head -150 "$log/failures"; fi
printf '\n%d passed, %d failed, %d skipped, in %d s\n' "$passed" "$failed" "$skipped" "$SECONDS"
[ "$failed" = 0 ]
