// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The memory that pages.bpf.c shares with user space. `src/kernel/bpf/pages.rs` has the same layout.
#ifndef RMAP_PAGES_H
#define RMAP_PAGES_H

#define MAX_FILES 4096          // in one batch
#define MAX_PARTS 8192          // in one run
#define PART_SLACK 80           // of one node of 64 entries
#define MAX_RUNS 16384          // in one run of the program
#define MAX_GROUPS 8192         // a power of two
#define MAX_GROUP_BYTES (192 * 1024)
#define GROUP_SLACK (80 * 1024) // of one node of 64 entries
#define MAX_SAMPLES 512         // a power of two

enum { MORE, DONE };            // how a run ended
enum { READ_RUNS = 1 };         // bits of `mode`: also leave a record for each run of like pages

// What is counted, in pages.
enum {
    PAGES, UP_TO_DATE, DIRTY, WRITEBACK, ACTIVE, REFERENCED, UNEVICTABLE, LOCKED, SWAP_BACKED, LARGE, MAPPED,
    MAPPED_UNKNOWN, COUNTERS
};

struct file_record {
    u64 address, super_block, number;   // in
    u32 generation, unused;             // in
    u64 first, end;                     // in: which of its pages
    u64 pages_before, pages_after;      // out: nrpages
    u64 size_before, size_after;        // out: the length in bytes
    u64 evicted;                        // out: entries of pages that were evicted
    u32 raced;                          // out: folios that left the file while they were read
    u32 state;                          // out: FILE_*
};
enum { FILE_BEGUN = 1, FILE_READ = 2, FILE_GONE = 3 };

// The pages of one file that are charged to one group and lie on one node.
struct part_record {
    u32 file, group, node, unused;
    u64 counters[COUNTERS];
};

// A group that was met for the first time, with its names in `group_names` from the group up, each after a NUL.
struct group_record {
    u64 id;                             // the inode number of its directory
    u32 at, length;
    u32 is_known, is_removed;
};

// Pages of one file in a row that are alike.
struct run_record {
    u64 index, pages;
    u32 group, node;
    u64 mapped;                         // how many of the pages are mapped
    u32 flags;                          // bits 1 << UP_TO_DATE and so on; RUN_EVICTED
    u32 unused;
};
#define RUN_EVICTED 1u                  // 1 << PAGES

// A folio, to compare with /proc/kpageflags.
struct sample_record { u64 folio; u32 flags, unused; };

struct pages_control {
    u32 files, file, mode, budget_ns;   // in, but `file`: the position
    u32 status, parts, runs, samples;   // out
    u32 groups, group_bytes, group_failures, page_bytes;
    u64 index;                          // the position in the file
    u32 has_begun, is_set_up;
    // What the kernel is like.
    u64 memory_controller, kept_flags;
    u32 node_shift, node_mask, knows_mapped, unused;
    // Like folios in a row, which are counted together.
    u64 run_index, run_pages, run_folios, run_flags, run_charged, run_folio;
    u32 run_tags, run_is_large;
    s32 run_mapped;
    u32 last_group;
    u64 last_charged, last_folio, end_ns;
    // The node that is being read.
    u64 node, node_index, dirty_marks, writeback_marks;
    u32 node_level, first_slot, is_single, last_was_value;
    u32 part_of_file, failed_descents, writes_back, is_unevictable;
};

struct pages_shared {
    struct pages_control control;
    u64 slots[64];
    struct file_record files[MAX_FILES];
    struct part_record parts[MAX_PARTS];
    struct run_record runs[MAX_RUNS];
    struct sample_record samples[MAX_SAMPLES];
    u64 group_keys[MAX_GROUPS];
    struct group_record groups[MAX_GROUPS];
    char group_names[MAX_GROUP_BYTES];
};

#endif
