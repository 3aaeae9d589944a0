# lib.sh - what every wrapper shares.  Sourced; defines functions and constants, runs nothing.
# shellcheck shell=sh disable=SC2034  # what is set here is used by the wrappers

begin() {	# begin NAME: signals are handed on; a child reads our standard input, not /dev/null
	me=$1 child='' tmp='' undo=''
	exec 3<&0
	WALPIPE_PARENT=$$
	export WALPIPE_PARENT	# a tool started from here ends when we do
	trap 'stop 129' HUP
	trap 'stop 130' INT
	trap 'stop 143' TERM
}

scratch() {	# a private directory in $tmp, gone on every way out
	trap 'leaving $?' EXIT
	tmp=$(mktemp -d "${TMPDIR:-/tmp}/walpipe.XXXXXX") || die 74 "cannot make a scratch directory in ${TMPDIR:-/tmp}"
	TMPDIR=$tmp
	export TMPDIR	# what we run cleans up with it
}

last_words=''	# what a wrapper says last when it fails or is ended, whatever failed

leaving() {
	trap - EXIT
	[ "$1" -eq 0 ] || [ -z "$last_words" ] || say "$last_words"
	rm -rf "$tmp"
	exit "$1"
}

say() { printf '%s: %s\n' "$me" "$*" >&2; }

hint() { printf '%s: HINT: %s\n' "$me" "$*" >&2; }

die() {	# die STATUS WORDS...
	status=$1
	shift
	say "$@"
	exit "$status"
}

usage() {	# wrong words: the first line of the wrapper's help_text
	say "$(help_text | head -n 1)"
	hint "See walpipe $me --help."
	exit 64
}

helped() {	# helped WORDS...: answers --help among them
	for asked; do
		case $asked in
		-h | --help)
			help_text
			exit 0
			;;
		--) return 0 ;;
		esac
	done
}

stop() {	# a signal came: hand it on, wait for the child to clean up, leave
	trap '' HUP INT TERM
	[ -z "$child" ] || {
		kill -TERM "$child"
		wait "$child"
	} 2>/dev/null || :
	[ -z "$undo" ] || "$undo" 2>/dev/null || :	# what a wrapper leaves nowhere
	[ -z "$last_words" ] || say "$last_words"
	[ -z "$tmp" ] || rm -rf "$tmp"
	trap - EXIT	# inside a trap not every sh runs that one
	[ "$1" -le "${most:-255}" ] || exit "$most"
	exit "$1"
}

run() {	# behind a foreground command a signal would wait
	"$@" <&3 &
	child=$!
	ran=0
	wait "$child" || ran=$?
	child=''
	[ "$ran" -le 125 ] || say "$1 ended with status $ran"
	return "$ran"
}

repository() {	# repository [NAME...]: where it is and how it is written, and the settings NAME, one a line in $more
	settled=$(settings repository scheme method extension direct "$@" scheme) || return	# the last is never empty
	{
		read -r REPO
		read -r scheme
		read -r METHOD
		read -r EXT
		read -r direct	# whether objects are files that may be opened as they are
		[ $# -eq 0 ] || more=$(cat)
	} <<-EOF
	$settled
	EOF
	BASE=$REPO/basebackups_005 PUT=${scheme}put GET=${scheme}get LS=${scheme}ls RM=${scheme}rm
	export REPO BASE METHOD EXT PUT GET LS RM
}

# The filter of a part that is made and the source of one that is restored: constants, so that nothing is built and
# evaluated.  A part replaces none: another backup of the same name may be on its way.  A local part is opened by the tool
# that decodes it.
# shellcheck disable=SC2016  # tarpart's shell expands them
{
	PART_FILTER='exec "$PUT" "$BASE/$WALPIPE_BACKUP/tar_partitions/$TARPART_NAME$EXT" --create-only -- compress -m "$METHOD"'
	PART_SOURCE='exec compress -d --as "$TARPART_NAME" -- "$GET" "$BASE/$WALPIPE_BACKUP/tar_partitions/$TARPART_NAME"'
	PART_SOURCE_FILE='exec compress -d --as "$TARPART_NAME" "$BASE/$WALPIPE_BACKUP/tar_partitions/$TARPART_NAME"'
}

# What an object's name may end in, in the order in which wal-g looks.
EXTENSIONS='.lz4 .lzma .gz .br .lzo .zst .'

# The key of the object that says whose repository it is.
IDENTITY=walpipe/FFFFFFFFFFFFFFFFFFFFFFFF.json

# The settings by which a server's restore_command finds the repository; none of them is a secret.
TO_SERVER='WALG_CONFIG_PATH WALG_FILE_PREFIX WALE_FILE_PREFIX WALG_STORAGE_PREFIX WALG_S3_PREFIX WALE_S3_PREFIX
	AWS_ENDPOINT AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_REGION AWS_DEFAULT_REGION AWS_S3_FORCE_PATH_STYLE
	WALG_S3_CA_CERT_FILE AWS_CA_BUNDLE AWS_PROFILE AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE'

promise_of() {	# promise_of LINES: what the identity says that a create-only put is worth in this store, in $promise
	case $1 in
	*'"create_only":"complete"'*) promise=complete ;;
	*'"create_only":"put"'*) promise=put ;;
	*'"create_only":"no"'*) promise=no ;;
	*) promise='' ;;
	esac
}

promise_words() {	# promise_words PROMISE: the same in words, of which only the first is no note
	case $1 in
	complete) echo 'this store refuses a second object of a name' ;;
	put) echo 'this store refuses a second object of a name, but not the completion of a large one: there it is looked before and after' ;;
	*) echo 'this store does not refuse a second object of a name: it is looked before each put and after it' ;;
	esac
}

use_promise() {	# use_promise PROMISE: the store's programs need not find out
	[ -z "$1" ] || [ -n "${WALPIPE_S3_CREATE_ONLY-}" ] || {
		WALPIPE_S3_CREATE_ONLY=$1
		export WALPIPE_S3_CREATE_ONLY
	}
}

root_there() {	# a repository that is a directory is there
	[ "$scheme" != file ] || [ -d "$REPO" ] || {
		say "the repository $REPO does not exist"
		hint 'Is it mounted?'
		return 1
	}
}

stored_wal() {	# stored_wal NAME: under which names the repository has it, one a line in $stored; fails as the store does
	stored=''
	if [ "$direct" = yes ]; then	# a look at a file needs no program, but cannot tell a file that is absent from a failure
		root_there || return 69
		for extension in "$EXT" $EXTENSIONS ''; do
			[ -f "$REPO/wal_005/$1$extension" ] || continue
			case $newline$stored in
			*"$newline$1$extension$newline"*) ;;
			*) stored=$stored$1$extension$newline ;;
			esac
		done
		return 0
	fi
	listed_wal "$1"
}

listed_wal() {	# listed_wal NAME: the same by the store's own program, which tells what is absent from what it cannot look for
	# shellcheck disable=SC2046,SC2086  # one word each
	stored=$("$LS" "$REPO/wal_005/" "$1$EXT" \
		$(for extension in $EXTENSIONS; do [ "$extension" = "$EXT" ] || printf '%s ' "$1$extension"; done) ${EXT:+"$1"}) || {
		looked=$?
		[ "$looked" -ne 66 ] || return 69	# the store itself is not there: that says nothing of the file
		return "$looked"
	}
}

data_directory() {	# data_directory VERB DIR: DIR is one, or we cannot VERB it
	[ -d "$2" ] || die 66 "cannot $1 $2: there is no such directory"
	[ -f "$2/global/pg_control" ] || die 66 "cannot $1 $2: it is no data directory: it has no global/pg_control"
}

newline='
'

durable() {	# durable PATH...: these files and directories outlast a crash of the machine
	sync "$@" || die 74 "cannot make $1 durable"
}

unwrap_wal() {	# unwrap_wal OBJECT COMMAND...: run COMMAND with the object's content as what its producer writes
	object=$1
	shift
	if [ "$direct" = yes ]; then
		run "$@" -- compress -d --as "$object" "$REPO/wal_005/$object"
		return
	fi
	run "$@" -- compress -d --as "$object" -- "$GET" "$REPO/wal_005/$object"
}
