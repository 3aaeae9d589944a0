# make.sh - sourced by cases: WAL files as far as a look at them goes

byte() { printf '%b' "\\0$(printf %o "$1")"; }

# segment FILE TIMELINE NUMBER [MAGIC]: 1 MiB of PostgreSQL 15 (or of the version with that first byte of the magic),
# system identifier 81985529216486895
segment() {
	{
		byte "${4:-16}"; printf '\321\006\000'
		byte "$2"; printf '\000\000\000'
		printf '\000\000'; byte "$(($3 % 16 * 16))"; byte "$(($3 / 16))"; printf '\000\000\000\000'
		printf '\000\000\000\000\000\000\000\000'
		printf '\357\315\253\211\147\105\043\001'
		printf '\000\000\020\000\000\040\000\000'
	} >"$1"
	truncate -s 1M "$1"
	printf end | dd of="$1" bs=1 seek=1048573 conv=notrunc 2>/dev/null
}
