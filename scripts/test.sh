#!/usr/bin/env bash
# `make test`: everything, in the order in which a failure is cheapest. Prints a summary and the tests that could not run.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=node_modules/.bin
log=$(mktemp -d); trap 'rm -rf "$log"' EXIT
passed=0 failed=0 skipped=0
step() { printf '\n== %s\n' "$1"; }

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

step "unit tests on node"
"$bin/node" --test 'src/**/*.test.ts' >"$log/node" 2>&1 || { sed -n '/failing tests/,$p' "$log/node"; tail -20 "$log/node"; exit 1; }
grep -E '^(ℹ|#) (tests|pass|fail|skipped) ' "$log/node"
count "$log/node"
step "unit tests on bun"
"$bin/bun" test --timeout 60000 src >"$log/bun" 2>&1 || { cat "$log/bun"; exit 1; }
tail -4 "$log/bun"

step "the helper's decoder, with ASan and UBSan, and fuzzed"
# The same mutants each time, so that what fails here was caused by the change: without a seed there are new ones.
make --no-print-directory helper-test FUZZ_SEED=20261127
make --no-print-directory helper-fuzz HELPER_FUZZ_SECONDS=10 FUZZ_SEED=20261127 2>&1 | tail -12

step "fixtures"
scripts/fixtures.sh

step "the helper's tests with ASan and UBSan, and as on a kernel without the mount API"
make --no-print-directory helper-sanitized >"$log/sanitized" 2>&1 || { cat "$log/sanitized"; exit 1; }
grep -E '^(build/|ℹ (pass|fail))' "$log/sanitized"
count "$log/sanitized"

lane() { # NAME COMMAND...: runs the integration and attack tests
  local name=$1; shift
  step "integration and attack tests: $name"
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
if [ "$(id -u)" = 0 ]; then
  VITRINE_TEST_LANE=root lane root "$node" --test --test-concurrency=1 --test-timeout=600000 "${suite[@]}"
  lane conformance "$node" --test --test-concurrency=1 --test-timeout=600000 'test/conformance/**/*.test.ts'
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
    bash -c "cd '$copy' && exec '$copy/$bin/node' --test --test-concurrency=1 --test-timeout=600000 'test/integration/**/*.test.ts' 'test/attack/**/*.test.ts'"
  rm -rf "$copy"
else
  VITRINE_TEST_LANE=user lane user "$node" --test --test-concurrency=1 --test-timeout=600000 "${suite[@]}"
  echo "the root lane was not run: not root"
fi

step "the machines of test/vm"
scripts/vm-image.sh
lane vm "$node" test/vm/run.ts

if [ -s "$log/failures" ]; then step "what failed"; head -150 "$log/failures"; fi
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
