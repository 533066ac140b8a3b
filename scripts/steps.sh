# steps.sh: how the scripts here say what they do, how long it took, and what
# can be done when it failed. Sourced, not run.
#
#   say WORDS             a headline
#   step TITLE COMMAND    runs it, its output kept aside; on failure its last
#                         lines are shown and its status is returned
#   fail WORDS ADVICE...  ends the script: what was found, then what to do
#
# Everything goes to stderr: stdout is for results.

bold() { if [ -t 2 ]; then printf '\033[1m%s\033[0m\n' "$*" >&2; else printf '%s\n' "$*" >&2; fi; }
say() { bold "== $*"; }

fail() {
  bold "$(basename "$0"): $1"
  shift
  [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

# now; since START: tenths of a second, without a process of its own.
now() { printf -v "$1" '%s' "${EPOCHREALTIME/[.,]/}"; }
since() {
  local end
  now end
  local tenths=$(((end - $1 + 50000) / 100000))
  printf '%d.%d s' $((tenths / 10)) $((tenths % 10))
}

# On a terminal a step that is quiet shows its seconds. The clock is one process
# that ends by itself when this script is gone.
clock_pid=
clock_start() {
  [ -t 2 ] || return 0
  local parent=$$
  (
    trap '' INT
    for ((n = 1; ; n++)); do
      sleep 1
      kill -0 $parent 2>/dev/null || exit 0
      printf '\r   %d s ' $n >&2
    done
  ) &
  clock_pid=$!
}
clock_stop() {
  [ -n "$clock_pid" ] || return 0
  kill $clock_pid 2>/dev/null || true
  wait $clock_pid 2>/dev/null || true
  clock_pid=
  printf '\r         \r' >&2
}

steps_log=
step() {
  local title=$1 start rc=0
  shift
  say "$title"
  now start
  [ -n "$steps_log" ] || steps_log=$(mktemp)
  clock_start
  "$@" >"$steps_log" 2>&1 || rc=$?
  clock_stop
  if [ $rc -ne 0 ]; then
    tail -n 15 "$steps_log" | sed 's/^/   | /' >&2
    return $rc
  fi
  echo "   done in $(since "$start")" >&2
}

# shown TITLE COMMAND: the same for what shows its own progress.
shown() {
  local title=$1 start rc=0
  shift
  say "$title"
  now start
  "$@" >&2 || rc=$?
  [ $rc -eq 0 ] || return $rc
  echo "   done in $(since "$start")" >&2
}

steps_end() {
  clock_stop
  [ -z "$steps_log" ] || rm -f "$steps_log"
}
trap steps_end EXIT

# Each step leaves its whole result or one that is gone on from, so stopping is
# safe. The stream is kept: a step's own may be its log.
exec {steps_err}>&2
stopped() {
  printf '\n' >&$steps_err
  bold "$(basename "$0"): stopped; running it again goes on from here" 2>&$steps_err
  exit 130
}
trap stopped INT TERM
