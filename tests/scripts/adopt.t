# adopt: words, and the status of what it runs

mkdir -p "$T/repo" "$T/data/global" "$T/other"
: >"$T/data/global/pg_control"
WALG_FILE_PREFIX=$T/repo
export WALG_FILE_PREFIX
stand_in catalog 'printf "%s\n" "$*" >"$HOME/ran"; echo line; echo said >&2; exit ${ENDS:-0}'

wrapper adopt "$T/data"
is 'a data directory is adopted' "$status" 0
is 'by catalog' "$(cat "$T/ran")" "identity --repo $T/repo --control $T/data --adopt"
is 'standard output is empty' "$(cat "$T/out")" ''
is 'what catalog says is passed on' "$(cat "$T/err")" said

rm -f "$T/ran"
PGDATA=$T/data wrapper adopt
is 'PGDATA is the default' "$(cat "$T/ran")" "identity --repo $T/repo --control $T/data --adopt"

for s in 66 75 78 137; do
	ENDS=$s && export ENDS
	wrapper adopt "$T/data"
	is "a status of $s is passed on" "$status" "$s"
done
unset ENDS

rm -f "$T/ran"
wrapper adopt
is 'no directory is 64' "$status" 64
wrapper adopt "$T/data" surplus
is 'one word too many is 64' "$status" 64
wrapper adopt --nonsense
is 'a wrong word is 64' "$status" 64
wrapper adopt "$T/absent"
is 'a missing directory is 66' "$status" 66
has 'and is named' "$T/err" "cannot adopt $T/absent"
wrapper adopt "$T/other"
is 'a directory of something else is 66' "$status" 66
WALG_FILE_PREFIX='' wrapper adopt "$T/data"
is 'no repository is 78' "$status" 78
ok 'and nothing was run' test ! -e "$T/ran"
