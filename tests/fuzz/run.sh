#!/usr/bin/env bash
# Runs every fuzz target, or those that are named, for FUZZ_SECONDS each, from the
# corpus that earlier runs left, and says what came of each. Called by `make fuzz`,
# which builds them.
#
#   run.sh TARGETS_DIRECTORY WORK_DIRECTORY [TARGET…]
set -euo pipefail
binaries=$1 work=$2
shift 2
seconds=${FUZZ_SECONDS:-30}
[ $# -gt 0 ] || set -- captured envelope form gateway identify item mutated verify

failed=0
printf '%-10s %12s %12s %10s %10s\n' target executions per_second coverage inputs
for target in "$@"; do
  corpus=$work/corpus/$target artifacts=$work/artifacts/$target log=$work/$target.log
  mkdir -p "$corpus" "$artifacts"
  # An input that takes ten seconds or two gigabytes is a finding as well.
  if FUZZ_SEEDS=$corpus "$binaries/$target" "$corpus" -artifact_prefix="$artifacts/" \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -len_control=20 \
    ${FUZZ_SEED:+-seed=$FUZZ_SEED} -print_final_stats=1 >"$log" 2>&1; then found=
  else found=yes; fi
  stat() { sed -n "s/^stat::$1: *//p" "$log"; }
  # One that fails at its first input has covered nothing yet.
  coverage=$({ grep -o ' cov: [0-9]*' "$log" || true; } | tail -1 | tr -dc 0-9)
  printf '%-10s %12s %12s %10s %10s\n' "$target" "$(stat number_of_executed_units)" \
    "$(stat average_exec_per_sec)" "${coverage:-?}" "$(find "$corpus" -type f | wc -l)"
  if [ -n "$found" ]; then
    failed=1
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    {
      echo "FAILED: $target (libFuzzer's seed: $(sed -n 's/^INFO: Seed: //p' "$log"))"
      grep -m1 -A4 "panicked at" "$log" | cut -c1-500 || tail -5 "$log"
      echo "  the whole log: $log"
      [ -z "$input" ] || echo "  the input: $input; once more: $binaries/$target $input"
    } >&2
  fi
done
exit $failed
