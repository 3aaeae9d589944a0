# lib.sh - what the script tests share.  Sourced by tests/scripts/run before each *.t; POSIX sh.
#
#   $T                  this file's scratch directory (also the working directory and HOME)
#   $EXEC               WALPIPE_EXEC_PATH: the project's scripts, run by the shell under test, the real tools, and stand-ins
#   $SHELL_UNDER_TEST   its path; called `sh` it is first in PATH as well
#   wrapper NAME ARG…   run a script of the project under the shell; see run
#   run CMD ARG…        run; $status, and $T/out, $T/err hold what it left
#   stand_in NAME BODY  a tool of that name in $EXEC, whose sh text is BODY
#   real NAME           the real tool again
#   background CMD…     start it in a session of its own; $pid; ended STATUS-VARIABLE waits for it
#   soon CMD…           CMD succeeds within ten seconds
#   ok WHAT CMD ARG…    passes if CMD ends with 0
#   is WHAT GOT WANTED  passes if both are equal
#   has WHAT FILE TEXT  passes if FILE contains TEXT; lacks: the opposite
#   skip WHAT WHY       counts as skipped

tests=0

pass() { tests=$((tests + 1)); printf 'ok %s - %s\n' "$tests" "$1"; }

fail() {
	tests=$((tests + 1))
	printf 'not ok %s - %s\n' "$tests" "$1"
	[ -z "${2-}" ] || printf '%s\n' "$2" | sed 's/^/# /'
}

skip() { tests=$((tests + 1)); printf 'ok %s - %s # SKIP %s\n' "$tests" "$1" "$2"; }

streams() { printf 'status %s\n--- stdout\n' "${status-}"; cat "$T/out" 2>/dev/null; echo '--- stderr'; cat "$T/err" 2>/dev/null; }

ok() { what=$1; shift; if "$@"; then pass "$what"; else fail "$what" "$* ended with $?
$(streams)"; fi; }

is() {
	if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got:    $2
wanted: $3
$(streams)"; fi
}

has() { if grep -qF -e "$3" "$2"; then pass "$1"; else fail "$1" "no '$3' in $2
$(streams)"; fi; }

lacks() { if grep -qF -e "$3" "$2"; then fail "$1" "'$3' is in $2
$(streams)"; else pass "$1"; fi; }

run() { status=0; "$@" >"$T/out" 2>"$T/err" </dev/null || status=$?; }

# walpipe puts its directory first in PATH; the wrappers are run without it here
PATH=${SHELL_UNDER_TEST%/sh}:$EXEC:$PATH
export PATH

wrapper() { script=$1; shift; run "$SHELL_UNDER_TEST" "$EXEC/$script" "$@"; }

stand_in() { rm -f "$EXEC/$1"; printf '#!%s\n%s\n' "$SHELL_UNDER_TEST" "$2" >"$EXEC/$1" && chmod +x "$EXEC/$1"; }

real() { rm -f "$EXEC/$1"; ln -s "$RELEASE/$1" "$EXEC/$1"; }

background() { env --default-signal=INT,HUP,TERM setsid "$@" >"$T/out" 2>"$T/err" </dev/null & pid=$!; }

ended() { status=0; wait "$pid" || status=$?; }

soon() {
	turns=0
	until "$@"; do
		turns=$((turns + 1))
		[ "$turns" -lt 200 ] || return 1
		sleep 0.05
	done
}

# a process of this file's that runs a stand-in of that name
runs() { grep -lsaF "$EXEC/$1" /proc/[0-9]*/cmdline >/dev/null 2>&1; }

gone() { ! runs "$1"; }
