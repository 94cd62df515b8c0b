#!/bin/sh
# record-start.sh ENGINE HELPER OUT: which functions a `vitrine run` uses, for `bun build --bytecode-order`, which puts
# them together at the front of the executable: a start then touches fewer pages of it. The run ends where it would
# become the helper (its --cidfile cannot be written). Where nothing can be run, OUT has what came before, or nothing.
set -u
engine=$1 helper=$2 out=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
: >"$out"
try() {
  env -u XDG_RUNTIME_DIR VITRINE_HELPER="$PWD/$helper" HOME="$work" BUN_JSC_useJIT=0 "$@" "$engine" \
    --root "$work/root" --runroot "$work/run" run --rm --network none --cidfile "$work/missing/id" hello true \
    </dev/null >/dev/null 2>&1
}
try # unpacks the image, which a start seldom does
try BUN_BYTECODE_ORDER_OUT="$PWD/$out.new"
[ -s "$out.new" ] && mv "$out.new" "$out"
exit 0
