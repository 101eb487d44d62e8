# What the checks have in common. A check is a script for busybox's sh that puts the machine into a known state and
# compares it with what rmap says. It prints one line for each thing that it checks.

ok() { echo "ok $1"; }

not_ok() { echo "not ok $1: $2"; }

skip() { echo "skip $1: $2"; }

# equal NAME FOUND EXPECTED
equal() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "found \`$2\`, expected \`$3\`"; fi
}

# between NAME FOUND LEAST MOST
between() {
    if [ "${2:-x}" -ge "$3" ] 2>/dev/null && [ "$2" -le "$4" ]; then
        ok "$1"
    else
        not_ok "$1" "found \`$2\`, expected $3 to $4"
    fi
}

# Prints the values that a key has in JSON lines. They may not contain commas or quotation marks.
values() { sed -n "s/.*\"$1\":\"\\{0,1\\}\\([^,\"}]*\\).*/\\1/p"; }

# write_pages FILE COUNT [FIRST]: writes whole pages, the first of which is FIRST.
write_pages() { dd if=/dev/urandom of="$1" bs=4096 count="$2" seek="${3:-0}" conv=notrunc 2>/dev/null; }

# Whether the kernel is at least VERSION.
kernel_is_at_least() { [ "$(printf '%s\n' "$1" "$(uname -r)" | sort -V | head -n 1)" = "$1" ]; }
