// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The memory that inodes.bpf.c shares with user space. `src/kernel/bpf/inodes.rs` has the same layout.
#ifndef RMAP_INODES_H
#define RMAP_INODES_H

#define MAX_SUPER_BLOCKS 1024   // in one run
#define MAX_INODES 8192         // in one run
#define MAX_NAMED 512           // in one run
#define MAX_LEVELS 1000         // of directories above a file, fewer than the steps of a run
#define PATH_BYTES (256 * 1024) // in one run
#define PATH_SLACK 512          // for the last name

enum { MORE, DONE, BROKEN };    // how a run ended

struct super_block_record {
    u64 address;
    u32 device;
    u32 magic;
    char type[16];
    char id[32];
};

struct inode_record {
    u64 address, number, pages, size;
    u32 mode, links, device, generation;
};

// Which inodes are named, and the answer.
struct name_record {
    u64 address, super_block, number;   // in
    u32 at, length;                     // out: its names, from the file up, each after a NUL
    u32 state;                          // out: what is known about it, NAME_*
    u32 generation;                     // in
    u32 links, unused;                  // out: how many names it has on disk
};

enum {
    NAME_READ = 1,       // the walk of its names ended
    NAME_GONE = 2,       // the inode is another one now, or is being freed
    NAME_NONE = 4,       // the inode has no name in memory
    NAME_DELETED = 8,    // the name was removed
    NAME_ROOTED = 16,    // the names lead to the root of the file system
    NAME_CUT = 32,       // there are more names than fit
};

struct inodes_control {
    // The position of the walk, kept from run to run.
    u64 super_block, cursor, previous, first_super_block;
    u32 status, budget;
    u32 super_blocks, inodes, visited, lost, resumed, moved;
    // The file that is being named.
    u64 dentry;
    u32 named, names, level, path_used;
};

struct inodes_shared {
    struct inodes_control control;
    struct super_block_record super_blocks[MAX_SUPER_BLOCKS];
    struct inode_record inodes[MAX_INODES];
    struct name_record names[MAX_NAMED];
    char paths[PATH_BYTES];
};

#endif
