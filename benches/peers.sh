#!/usr/bin/env bash
# Compares the speed of rmap with similar tools and prints a Markdown table: benches/peers.sh [--quick] [SECTION...]
#
# Every round runs each command of a section once, in turn (A B C, A B C, ...), so that a machine that becomes slower or
# busier affects all of them equally. Ratios are ratios of medians. Needs hyperfine. Reports and leaves out tools that
# are not installed. Files are created in ${RMAP_BENCH_DISK:-/var/tmp} and ${RMAP_BENCH_MEMORY:-/dev/shm} and removed at
# the end.
set -euo pipefail

sections=(sparse full scattered tree small process shell demo trace files pages who mem ps)
rounds=7
chosen=()
for word in "$@"; do
    case $word in
        --quick) rounds=3 ;;
        -h | --help)
            sed -n '2,6s/^# //p' "$0"
            echo "Sections: ${sections[*]}. --quick: 3 rounds instead of 7."
            exit 0
            ;;
        *)
            [[ " ${sections[*]} " == *" $word "* ]] || {
                echo "peers.sh: unknown section '$word'; the sections are: ${sections[*]}" >&2
                exit 2
            }
            chosen+=("$word")
            ;;
    esac
done
[ "${#chosen[@]}" -gt 0 ] || chosen=("${sections[@]}")
cd "$(dirname "$0")/.."

# --- requirements -----------------------------------------------------------------------------------------------------

has() { type -P "$1" >/dev/null; }
note() { notes+=("$*"); echo "peers.sh: $*" >&2; }
notes=()
has hyperfine || { echo "peers.sh: hyperfine: not found; apt-get install hyperfine" >&2; exit 1; }
while read -r program package; do
    has "$program" || note "$program is not installed, so it is left out (apt-get install $package)"
done <<'LIST'
vmtouch vmtouch
fincore util-linux-extra, or util-linux before Debian 13
pmap procps
taskset util-linux
smem smem
LIST
has pcstat || note "pcstat is not on the PATH, and is left out (Debian has no package of it: github.com/tobert/pcstat)"
has pagers || note "pagers is not on the PATH, and is left out (cargo install pagers)"
has metop || note "metop is not on the PATH, and is left out (cargo install metop)"
[ -x /usr/bin/time ] || note "/usr/bin/time is not installed: peak memory is left out (apt-get install time)"

cargo build --release --locked --bin rmap --example bare_fill --example bare_mincore --example bare_read \
    --example hold_pages --example many_mappings >&2
built=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
rmap=$built/rmap
programs=$built/examples

disk=$(mktemp -d "${RMAP_BENCH_DISK:-/var/tmp}/rmap-peers.XXXXXX")
memory=$(mktemp -d "${RMAP_BENCH_MEMORY:-/dev/shm}/rmap-peers.XXXXXX")
held=()    # descriptors: each is the standard input of a program, which exits when it is closed
holders=() # their pids

release() {
    local descriptor
    for descriptor in "${held[@]}"; do exec {descriptor}>&-; done
    for holder in "${holders[@]}"; do wait "$holder" 2>/dev/null || true; done
    held=() holders=()
}
clean_up() { release; umount "$memory/mount" 2>/dev/null || true; rm -rf -- "$disk" "$memory"; }
trap clean_up EXIT
trap 'exit 130' INT TERM

# hold COMMAND...: starts a program that runs until `release`, waits until it is ready, and stores its first line in
# $said.
hold() {
    local input=$memory/input output=$memory/output descriptor
    rm -f "$input" "$output"
    mkfifo "$input"
    "$@" <"$input" >"$output" &
    holders+=($!)
    exec {descriptor}>"$input"
    held+=("$descriptor")
    rm "$input"
    until [ -s "$output" ]; do
        kill -0 "${holders[-1]}" 2>/dev/null || { note "$1 did not start"; return 1; }
        sleep 0.05
    done
    said=$(head -n 1 "$output")
}

# --- measuring --------------------------------------------------------------------------------------------------------

declare -A commands=() times=() medians=() sinks=()
order=()

# add NAME WORDS [OUTPUT]: adds a command to the section, unless its program is missing. OUTPUT is null, pipe or a file.
add() {
    local name=$1 words=$2
    has "${words%% *}" || return 0
    commands[$name]=$words
    sinks[$name]=${3:-null}
    order+=("$name")
}

# measure [RUNS]: runs the commands of the section in turn: one warm-up round, then $rounds rounds of RUNS (default: 1).
measure() {
    local runs=${1:-1} round name
    for ((round = 0; round <= rounds; round++)); do
        for name in "${order[@]}"; do
            [ -n "${commands[$name]:-}" ] || continue # it has failed before
            if ! hyperfine -N --style none ${lenient:+--ignore-failure} --runs "$runs" --output "${sinks[$name]}" \
                --export-csv "$memory/csv" "${commands[$name]}" >/dev/null 2>"$memory/error"; then
                cat "$memory/error" >&2
                note "${commands[$name]} failed, so it is left out"
                unset "commands[$name]"
                continue
            fi
            [ "$round" = 0 ] || times[$name]+=" $(awk -F, 'END { print $(NF - 4) }' "$memory/csv")"
        done
        echo "peers.sh: round $round of $rounds" >&2
    done
    for name in "${order[@]}"; do
        [ -n "${times[$name]:-}" ] || continue
        medians[$name]=$(tr ' ' '\n' <<<"${times[$name]# }" | sort -g |
            awk '{ t[NR] = $1 } END { print (t[int((NR + 1) / 2)] + t[int((NR + 2) / 2)]) / 2 }')
    done
    order=()
}

lines=()
# faster SHAPE NAME PEER TIMES: adds a line to the table; NAME must be at least TIMES times faster than PEER.
faster() { compare "$1" "$2" "$3" "$4" faster; }
# within SHAPE NAME PEER SHARE: adds a line to the table; NAME may take at most SHARE of PEER's time.
within() { compare "$1" "$2" "$3" "$4" within; }
compare() {
    local mine=${medians[$2]:-} theirs=${medians[$3]:-}
    [ -n "$mine" ] && [ -n "$theirs" ] || return 0
    lines+=("$(awk -v shape="$1" -v name="$2" -v peer="$3" -v mine="$mine" -v theirs="$theirs" \
        -v target="$4" -v kind="$5" 'BEGIN {
        ratio = kind == "faster" ? theirs / mine : mine / theirs
        met = kind == "faster" ? ratio >= target : ratio <= target
        printf "| %s | %s | %.2f ms | %s | %.2f ms | %s | %s | %s |\n", shape, name, mine * 1e3, peer, theirs * 1e3,
            kind == "faster" ? sprintf(ratio < 20 ? "%.1fx faster" : "%.0fx faster", ratio) : \
                sprintf("%.2fx of it", ratio),
            kind == "faster" ? "at least " target "x faster" : "at most " target "x", met ? "yes" : "**no**" }')")
}

# takes SHAPE NAME SECONDS: adds a line to the table; NAME may take at most SECONDS.
takes() {
    [ -n "${medians[$2]:-}" ] || return 0
    lines+=("$(awk -v shape="$1" -v name="$2" -v mine="${medians[$2]}" -v target="$3" 'BEGIN {
        printf "| %s | %s | %.2f ms | | | | at most %s s | %s |\n", shape, name, mine * 1e3, target,
            mine <= target ? "yes" : "**no**" }')")
}

# peak SHAPE MIB WORDS...: adds a line with the peak memory of a command, which must be less than MIB.
peak() {
    local shape=$1 most=$2 kib met
    shift 2
    [ -x /usr/bin/time ] || return 0
    /usr/bin/time -f %M -o "$memory/peak" "$@" >/dev/null || [ -n "${lenient:-}" ]
    kib=$(tail -n 1 "$memory/peak")
    met=$( ((kib < most * 1024)) && echo yes || echo '**no**')
    lines+=("| $shape | peak memory | $((kib / 1024)) MiB | | | | under $most MiB | $met |")
}

# knows SUBCOMMAND OPTION: whether this rmap supports the option; prints a note if not.
knows() {
    "$rmap" "$1" --help | grep -qE -- "(^|[ ,])$2([ =,]|\$)" || {
        note "rmap $1 does not support $2 yet, so everything that needs it is left out"
        return 1
    }
}

# --- the shapes -------------------------------------------------------------------------------------------------------

map=--histo
if "$rmap" pcstat --help | grep -qE -- '(^| )--map( |$)'; then map=--map; fi
# The other programs open the file without looking for leases of other processes first, which takes up to 20 ms.
alike=
if knows pcstat --break-leases; then alike=--break-leases; fi

measure_sparse() {
    local file=$disk/sparse
    hold "$programs/hold_pages" "$file" 1T 333G 256M 0 1 || return 0
    add summary "$rmap pcstat $alike $file"
    add "page map" "$rmap pcstat $alike $map $file"
    add vmtouch "vmtouch $file"
    add pcstat "pcstat $file"
    add pagers "pagers query -o kv $file"
    measure
    within "1 TiB sparse, 256 MiB cached" summary pagers 1.0
    for what in summary "page map"; do
        for peer in vmtouch pcstat; do faster "1 TiB sparse, 256 MiB cached" "$what" "$peer" 1000; done
    done
}

measure_full() {
    local file=$disk/full
    hold "$programs/hold_pages" "$file" 2G 0 2G 0 1 || return 0
    add summary "$rmap pcstat $alike $file"
    add "page map" "$rmap pcstat $alike $map $file"
    add vmtouch "vmtouch $file"
    add pcstat "pcstat $file"
    add pagers "pagers query -o kv $file"
    measure
    within "2 GiB, fully cached" summary pagers 1.0
    for what in summary "page map"; do faster "2 GiB, fully cached" "$what" vmtouch 8; done
}

measure_scattered() {
    local file=$memory/scattered shape="every other page of 1,048,576, tmpfs"
    hold "$programs/hold_pages" "$file" 4G 0 4K 8K 524288 || return 0
    add "page map, one core" "taskset -c 0 $rmap pcstat $alike $map $file"
    add "bare mincore, one core" "taskset -c 0 $programs/bare_mincore $file"
    add "page map" "$rmap pcstat $alike $map $file"
    add "bare mincore" "$programs/bare_mincore $file"
    add summary "$rmap pcstat $alike $file"
    add pagers "pagers query -o kv $file"
    measure
    within "$shape" summary pagers 1.0
    within "$shape" "page map, one core" "bare mincore, one core" 1.4
    within "$shape" "page map" "bare mincore" 1.0
    within "$shape" summary "bare mincore" 1.0
}

measure_tree() {
    local shape="a tree of 250,000 files"
    { knows pcstat -R && knows pcstat --summary && knows pcstat -j; } || return 0
    mkdir "$memory/tree"
    (cd "$memory/tree" && awk 'BEGIN {
        for (d = 0; d < 250; d++) { print "mkdir " d | "sh" }
        close("sh")
        for (f = 0; f < 250000; f++) { name = (f % 250) "/" f; print f > name; close(name) } }')
    add "-R --summary" "$rmap pcstat -R --summary $memory/tree"
    add "-R --summary -j 1" "$rmap pcstat -R --summary -j 1 $memory/tree"
    add "vmtouch -q" "vmtouch -q $memory/tree"
    add pagers "pagers query -o kv $memory/tree"
    measure
    within "$shape" "-R --summary" pagers 1.0
    faster "$shape" "-R --summary" "vmtouch -q" 4
    faster "$shape" "-R --summary -j 1" "vmtouch -q" 1.8
    peak "$shape" 32 "$rmap" pcstat -R --summary "$memory/tree"
}

measure_small() {
    local file=$memory/small
    echo small >"$file"
    add rmap "$rmap pcstat $alike $file"
    add "rmap, leases looked for" "$rmap pcstat $file"
    add fincore "fincore $file"
    add pagers "pagers query -o kv $file"
    measure 40
    within "one small file" rmap pagers 1.0
    within "one small file" rmap fincore 1.0
    within "one small file" "rmap, leases looked for" fincore 1.0
}

measure_process() {
    local shape="a process of 60,000 mappings" columns=address,perm,size,rss,swap,mapping pid
    hold "$programs/many_mappings" 60000 || return 0
    pid=$said
    add "rmap pid, to a file" "$rmap pid $pid" "$memory/out"
    add "rmap pid" "$rmap pid $pid"
    add "cat smaps" "cat /proc/$pid/smaps"
    add "cat smaps, to a file" "cat /proc/$pid/smaps" "$memory/out"
    add "rmap pid, to a pipe" "$rmap pid $pid" pipe
    add "cat smaps, to a pipe" "cat /proc/$pid/smaps" pipe
    add "pmap -X" "pmap -X $pid"
    add "pmap -x" "pmap -x $pid"
    add "--json" "$rmap pid --json $pid"
    add "-o $columns" "$rmap pid -o $columns $pid"
    if knows pid --summary; then
        add "--summary" "$rmap pid --summary $pid" pipe
        add "cat smaps_rollup" "cat /proc/$pid/smaps_rollup" pipe
    fi
    measure
    within "$shape" "rmap pid" "cat smaps" 1.15
    within "$shape" "rmap pid, to a file" "cat smaps, to a file" 1.15
    within "$shape" "rmap pid, to a pipe" "cat smaps, to a pipe" 1.15
    faster "$shape" "rmap pid, to a pipe" "pmap -X" 4
    faster "$shape" "rmap pid, to a pipe" "pmap -x" 1.5
    within "$shape" "--json" "cat smaps" 1.3
    within "$shape" "-o $columns" "cat smaps" 0.4
    within "$shape" "--summary" "cat smaps_rollup" 1.3
    peak "$shape" 32 "$rmap" pid "$pid"
    peak "$shape, --json" 32 "$rmap" pid --json "$pid"
}

measure_shell() {
    hold bash -c 'echo $$; read -r _' || return 0
    add "rmap pid" "$rmap pid $said"
    add "pmap -X" "pmap -X $said"
    measure 40
    within "a shell with $(wc -l <"/proc/$said/maps") mappings" "rmap pid" "pmap -X" 1.0
}

# A file of 1 GiB that is mapped and filled, with and without measuring. It is in memory, as below.
measure_demo() {
    local file=$memory/filled lenient=1 # the kernel may reclaim pages meanwhile, which rmap reports
    add "the same loop" "$programs/bare_fill $file $((1 << 30))"
    add "rmap demo" "$rmap demo --size 1G --file $file"
    add "rmap demo --acts" "$rmap demo --acts create,map,quarter,half,fill,munmap --size 1G --file $file"
    measure
    within "filling 1 GiB" "rmap demo" "the same loop" 1.3
    within "filling 1 GiB" "rmap demo --acts" "the same loop" 1.3
}

# A JVM that maps a file of 1 GiB, fills it and unmaps it, alone and followed. The file is in memory, because the time
# of a disk varies more than what is measured here.
measure_trace() {
    local shape="a JVM that fills 1 GiB" java
    knows trace --every || return 0
    has javac || { note "javac is not installed: trace is left out (openjdk-17-jdk-headless)"; return 0; }
    javac -d "$memory" docs/Mapped.java
    java="java -cp $memory Mapped 1G $memory/mapped"
    add "the JVM alone" "$java"
    add "rmap trace" "$rmap trace --output $memory/rows $java"
    add "rmap trace --no-syscalls" "$rmap trace --output $memory/rows --no-syscalls $java"
    measure
    within "$shape" "rmap trace" "the JVM alone" 1.05
    within "$shape" "rmap trace --no-syscalls" "the JVM alone" 1.05
}

# All cached files of the machine: 600,000 inodes in memory, of which 200,000 have a page.
measure_files() {
    local shape="600,000 inodes, 200,000 of them cached" named lenient=1
    knows files --scan || return 0
    mkdir "$memory/many"
    (cd "$memory/many" && awk 'BEGIN {
        for (d = 0; d < 600; d++) { print "mkdir " d | "sh" }
        close("sh")
        for (f = 0; f < 600000; f++) { name = (f % 600) "/" f; printf f % 3 ? "" : f > name; close(name) } }')
    # Exit status 1 is allowed: some process may not show what it holds.
    add "files --top 20" "$rmap files --top 20"
    add "files --scan --top 20" "$rmap files --scan --top 20 /"
    add "pcstat -R --summary" "$rmap pcstat -R --summary --cross-file-systems /"
    measure
    takes "$shape" "files --top 20" 0.4
    faster "$shape" "files --top 20" "files --scan --top 20" 10
    within "$shape" "files --scan --top 20" "pcstat -R --summary" 1.2
    peak "$shape" 64 "$rmap" files --top 20
    named=$("$rmap" files --top 20 2>/dev/null | sed -n 's/^named \([0-9.]*\) %.*/\1/p') || true
    lines+=("| $shape | named | $named % | | | | at least 99.5 % | $(awk -v named="$named" \
        'BEGIN { print (named >= 99.5 ? "yes" : "**no**") }') |")
}

# Pages of 4 KiB: those of the machine by control group, and the map of one file.
measure_pages() {
    local available gib=16 lenient=1 file=$memory/pages
    knows files --scan || return 0
    available=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
    if ((available < gib + 4)); then
        gib=$((available > 12 ? 8 : 2))
        note "only $available GiB of memory are available, so that $gib GiB of pages are measured instead of 16"
    fi
    mkdir "$memory/mount"
    mount -t tmpfs -o size=$((gib + 1))G,huge=never rmap-peers "$memory/mount" || return 0
    file=$memory/mount/pages
    head -c "${gib}G" /dev/zero >"$file"
    add "files --by cgroup" "$rmap files --by cgroup"
    measure
    takes "$gib GiB in pages of 4 KiB" "files --by cgroup" 0.8
    truncate -s "$((gib < 5 ? gib : 5))G" "$file"
    times=() medians=() commands=() order=()
    add "pcstat --map, by pages" "$rmap pcstat --map --method pages $file"
    add "pcstat --map" "$rmap pcstat --map $file"
    measure
    within "a file of $((gib < 5 ? gib : 5)) GiB in pages of 4 KiB" "pcstat --map, by pages" "pcstat --map" 1.0
    umount "$memory/mount"
}

# pythons COUNT FILE: starts idle Python processes, of which the first maps FILE; they exit at `release`.
pythons() {
    local count=$1 file=$2 log=$memory/pythons
    : >"$log"
    hold bash -c '
        idle="import sys; print(1, flush=True); sys.stdin.read()"
        python3 -c "import mmap; f = open(\"$2\"); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); m[:]; $idle" \
            <&0 >>"$3" &
        for ((n = 1; n < $1; n++)); do python3 -c "$idle" <&0 >>"$3" & done
        until [ "$(wc -l <"$3")" = "$1" ]; do sleep 0.1; done
        echo ready
        wait' bash "$count" "$file" "$log"
}

# Who maps one file, among 300 processes.
measure_who() {
    local file=$disk/held shape="one file among 300 Python processes" lenient=1
    knows who --inode || return 0
    has python3 || { note "python3 is not installed, so who is left out"; return 0; }
    head -c 4M /dev/urandom >"$file"
    pythons 300 "$file" || return 0
    # Exit status 1 is allowed: some process may not show what it holds.
    add who "$rmap who $file"
    add "reading every maps" "$programs/bare_read maps"
    measure
    within "$shape" who "reading every maps" 1.5
    peak "$shape" 24 "$rmap" who "$file"
}

# The account of the whole memory, by counters and by page frame.
measure_mem() {
    local shape gib
    knows mem --pages || return 0
    [ -r /proc/kpageflags ] && [ "$(id -u)" = 0 ] || { note "page frames need root, so mem is left out"; return 0; }
    gib=$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)
    shape="the memory of the machine, $gib GiB"
    add "mem" "$rmap mem"
    add "mem --pages" "$rmap mem --pages"
    add "mem --by cgroup" "$rmap mem --by cgroup"
    add "kpageflags, read once" "$programs/bare_read /proc/kpageflags"
    measure
    takes "$shape" "mem" 0.1
    within "$shape" "mem --pages" "kpageflags, read once" 4.0
    within "$shape" "mem --by cgroup" "kpageflags, read once" 4.0
    peak "$shape, --pages" 24 "$rmap" mem --pages
}

# Processes that do nothing, and what they use.
measure_ps() {
    local shape="300 idle Python processes" lenient=1 # some process may deny access
    knows ps --budget || return 0
    has python3 || { note "python3 is not installed: ps is left out"; return 0; }
    hold python3 -c '
import subprocess, sys
idle = [sys.executable, "-c", "import json, re, time; print(flush=True); time.sleep(1e6)"]
processes = [subprocess.Popen(idle, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for _ in range(300)]
for process in processes:
    process.stdout.readline()
print("ready", flush=True)
sys.stdin.read()
for process in processes:
    process.kill()' || return 0
    add "rmap" "$rmap"
    add "rmap ps" "$rmap ps"
    add "rmap ps --json" "$rmap ps --json"
    add "every smaps_rollup in turn" "$programs/bare_read smaps_rollup"
    add "rmap ps -o pid,rss" "$rmap ps -o pid,rss"
    add smem smem
    add "metop --json" "metop --json"
    measure
    takes "$shape" "rmap" 0.5
    faster "$shape" "rmap ps" smem 10
    within "$shape" "rmap ps" "every smaps_rollup in turn" 0.8
    within "$shape" "rmap ps --json" "metop --json" 1.0
    faster "$shape" "rmap ps -o pid,rss" "rmap ps" 2
    peak "$shape" 24 "$rmap" ps
}

loads=$(cut -d ' ' -f 1 /proc/loadavg)
for section in "${chosen[@]}"; do
    echo "peers.sh: $section" >&2
    times=() medians=() commands=() order=()
    "measure_$section"
    release
    rm -rf -- "${disk:?}"/* "${memory:?}"/*
done

loads+=" before and $(cut -d ' ' -f 1 /proc/loadavg) after"
file_system() { stat -f -c %T "$1"; }
cat <<HEAD
Linux $(uname -r), $(nproc) processors, $(date +%Y-%m-%d);
files on $(file_system "$disk" | sed 's,ext2/ext3,ext4,') and $(file_system "$memory"); medians of $rounds rounds;
load average $loads (about 1 of it is the benchmark; other work makes every wall-clock time longer,
and affects two threads most).

| shape | rmap | time | compared with | time | ratio | target | met |
|---|---|---|---|---|---|---|---|
HEAD
[ "${#lines[@]}" = 0 ] || printf '%s\n' "${lines[@]}"
[ "${#notes[@]}" = 0 ] || { echo; printf -- '- %s\n' "${notes[@]}"; }
