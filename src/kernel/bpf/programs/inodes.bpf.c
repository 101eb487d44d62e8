// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Lists the super blocks of the machine, the inodes of each that have cached pages, and the names of inodes.
//
// The programs are never attached: user space runs them (BPF_PROG_TEST_RUN), again and again, each time with a bound on
// the work. Within one run the kernel frees no inode and no name, because a run is an RCU reader. Between two runs
// anything may go, so each run checks the position where the last one ended. Nothing but the shared memory is written.
#include "kernel.h"
#include "inodes.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct inodes_shared);
} shared SEC(".maps");

// Each function begins with this: old verifiers do not follow a pointer to the shared memory into global functions.
#define BEGIN                                                                                                          \
    u32 zero = 0;                                                                                                      \
    struct inodes_shared *memory = bpf_map_lookup_elem(&shared, &zero);                                                \
    if (!memory) return 1;                                                                                             \
    struct inodes_control *at = &memory->control

// Whether it is a super block, and not the head of their list: its root leads back to it.
ALWAYS int is_super_block(u64 address) {
    u64 root = read64(address + OFFSET(super_block, s_root));
    return root && read64(root + OFFSET(dentry, d_sb)) == address;
}

STEP super_block_step(void) {
    BEGIN;
    u64 address = at->cursor;
    u32 number = at->super_blocks;
    if (number >= MAX_SUPER_BLOCKS) return 1;
    if (is_super_block(address)) {
        struct super_block_record *record = &memory->super_blocks[number];
        record->address = address;
        record->device = read32(address + OFFSET(super_block, s_dev));
        record->magic = (u32)read64(address + OFFSET(super_block, s_magic));
        u64 type = read64(address + OFFSET(super_block, s_type));
        u64 name = read64(type + OFFSET(file_system_type, name));
        bpf_probe_read_kernel_str(record->type, sizeof(record->type), (void *)name);
        bpf_probe_read_kernel_str(record->id, sizeof(record->id), (void *)(address + OFFSET(super_block, s_id)));
        at->super_blocks = number + 1;
    }
    u64 next = read64(address + OFFSET(super_block, s_list));
    if (!next || next - OFFSET(super_block, s_list) == address) {
        at->status = BROKEN;
        return 1;
    }
    at->cursor = next - OFFSET(super_block, s_list);
    if (at->cursor != at->first_super_block) return 0;
    at->status = DONE;
    return 1;
}

// All super blocks, from that of our root directory around the ring.
SEC("raw_tp/sys_enter") int list_super_blocks(void *context) {
    BEGIN;
    at->status = MORE;
    at->super_blocks = 0;
    if (!at->cursor) {
        u64 files = read64(bpf_get_current_task() + OFFSET(task_struct, fs));
        u64 root = read64(files + OFFSET(fs_struct, root) + OFFSET(path, dentry));
        at->first_super_block = at->cursor = read64(root + OFFSET(dentry, d_sb));
    }
    for (u32 i = 0; i < 512; i++)
        if (super_block_step()) break;
    return 0;
}

// The node where the walk stood is gone: back to the one before it, if that is still there.
ALWAYS int resume(struct inodes_control *at, u64 head) {
    u64 previous = at->previous;
    at->lost++;
    if (at->resumed++ < 1000) {
        u64 next = read64(previous + OFFSET(list_head, next));
        u64 owner = read64(previous - OFFSET(inode, i_sb_list) + OFFSET(inode, i_sb));
        int is_listed = next != previous && read64(next + OFFSET(list_head, prev)) == previous;
        if (next && (previous == head || (owner == at->super_block && is_listed))) {
            at->cursor = next;
            return 0;
        }
    }
    at->status = BROKEN;
    return 1;
}

STEP inode_step(void) {
    BEGIN;
    u64 node = at->cursor, head = at->super_block + OFFSET(super_block, s_inodes);
    if (node == head) {
        at->status = DONE;
        return 1;
    }
    u64 inode = node - OFFSET(inode, i_sb_list);
    u64 next = read64(node + OFFSET(list_head, next)), previous = read64(node + OFFSET(list_head, prev));
    // It must be listed, and in this list.
    if (!next || next == node || read64(inode + OFFSET(inode, i_sb)) != at->super_block) return resume(at, head);
    if (previous != at->previous) {
        if (read64(previous + OFFSET(list_head, next)) != node) return resume(at, head);
        // The one before was removed; or this one was freed and is another one now, somewhere in the same list.
        at->moved++;
    }
    u64 pages = read64(inode + OFFSET(inode, i_data) + OFFSET(address_space, nrpages));
    if (pages) {
        u32 number = at->inodes;
        if (number >= MAX_INODES) return 1;
        struct inode_record *record = &memory->inodes[number];
        record->address = inode;
        record->number = read64(inode + OFFSET(inode, i_ino));
        record->pages = pages;
        record->size = read64(inode + OFFSET(inode, i_size));
        record->mode = read16(inode + OFFSET(inode, i_mode));
        record->links = read32(inode + OFFSET(inode, i_nlink));
        record->device = read32(inode + OFFSET(inode, i_rdev));
        record->generation = read32(inode + OFFSET(inode, i_generation));
        at->inodes = number + 1;
    }
    at->visited++;
    at->previous = node;
    at->cursor = next;
    return 0;
}

// The inodes of `super_block` that have pages, from `cursor` on, or from the start.
SEC("raw_tp/sys_enter") int list_inodes(void *context) {
    BEGIN;
    at->status = MORE;
    at->inodes = 0;
    if (!at->cursor) {
        at->previous = at->super_block + OFFSET(super_block, s_inodes);
        at->cursor = is_super_block(at->super_block) ? read64(at->previous) : 0;
        if (!at->cursor) {
            at->status = BROKEN;
            return 0;
        }
    }
    u32 budget = at->budget;
    for (u32 i = 0; i < 1024; i++)
        if (i >= budget || inode_step()) break;
    return 0;
}

// The name of the file at `named` ends.
ALWAYS void end_name(struct inodes_control *at, struct name_record *record, u32 state) {
    record->state |= state | NAME_READ;
    record->length = at->path_used - record->at;
    at->dentry = 0;
    at->named++;
}

// A removed name is in no hash chain; a file without any name never was.
ALWAYS int is_hashed(u64 dentry) { return read64(dentry + OFFSET(dentry, d_hash.pprev)) != 0; }

// Of the names of an inode, one that was not removed, if there is one. A name that is none of this inode any more is
// not one; 0: there is none.
ALWAYS u64 choose_name(u64 alias, u64 inode) {
    u32 offset = 0;
    if (HAS(dentry___anonymous, d_alias)) offset = OFFSET(dentry___anonymous, d_alias);
    else offset = OFFSET(dentry, d_u.d_alias);
    u64 removed = 0;
    for (u32 i = 0; i < 8 && alias; i++) {
        u64 dentry = alias - offset;
        if (read64(dentry + OFFSET(dentry, d_inode)) == inode) {
            if (is_hashed(dentry)) return dentry;
            if (!removed) removed = dentry;
        }
        alias = read64(alias + OFFSET(hlist_node, next));
    }
    return removed;
}

// The kernel makes it odd while it changes a name, and greater afterwards.
ALWAYS u32 sequence_of(u64 dentry) { return read32(dentry + OFFSET(dentry, d_seq.seqcount.sequence)); }

// One level of the name of one file. If the run ends within a name, the next run begins with this file again.
STEP name_step(void) {
    BEGIN;
    u32 number = at->named;
    if (number >= MAX_NAMED || number >= at->names || at->path_used > PATH_BYTES - PATH_SLACK) return 1;
    struct name_record *record = &memory->names[number];
    KEEP(record);
    u64 inode = record->address;
    if (!at->dentry) {
        record->at = at->path_used;
        record->state = 0;
        record->links = read32(inode + OFFSET(inode, i_nlink));
        at->level = 0;
        u64 alias = read64(inode + OFFSET(inode, i_dentry) + OFFSET(hlist_head, first));
        // Checked after it was read: in an inode that was freed, something else stands at this place.
        int is_same = is_same_inode(inode, record->super_block, record->number, record->generation);
        u64 chosen = is_same ? choose_name(alias, inode) : 0;
        if (!chosen) {
            end_name(at, record, is_same ? NAME_NONE : NAME_GONE);
            return 0;
        }
        at->dentry = chosen;
    }
    u64 dentry = at->dentry;
    u32 sequence = sequence_of(dentry);
    if (dentry == read64(record->super_block + OFFSET(super_block, s_root))) {
        end_name(at, record, NAME_ROOTED);
        return 0;
    }
    u64 parent = read64(dentry + OFFSET(dentry, d_parent));
    u32 length = read32(dentry + OFFSET(dentry, d_name.len));
    u64 name = read64(dentry + OFFSET(dentry, d_name.name));
    u32 used = at->path_used;
    if (length > 255 || used > PATH_BYTES - PATH_SLACK || at->level >= MAX_LEVELS) {
        end_name(at, record, NAME_CUT);
        return 0;
    }
    char *place = &memory->paths[used];
    KEEP(place);
    place[0] = 0;
    if (length) bpf_probe_read_kernel(place + 1, length & 255, (const void *)name);
    int is_removed = !at->level && !is_hashed(dentry);
    // Whatever changed meanwhile is read again: at the lowest level, whose name it is, and at each, what the name is.
    if (!at->level && read64(dentry + OFFSET(dentry, d_inode)) != inode) {
        at->dentry = 0;
        return 0;
    }
    if (sequence & 1 || sequence_of(dentry) != sequence) return 0;
    if (is_removed) record->state = NAME_DELETED;
    at->path_used = used + 1 + length;
    if (parent == dentry || !parent) {
        // A file of the kernel's own (a memfd), or a part of a tree that is not connected.
        end_name(at, record, 0);
        return 0;
    }
    at->dentry = parent;
    at->level++;
    return 0;
}

// The names of the inodes in `names`, from `named` on.
SEC("raw_tp/sys_enter") int name_inodes(void *context) {
    BEGIN;
    at->dentry = 0;
    at->path_used = 0;
    for (u32 i = 0; i < 1024; i++)
        if (name_step()) break;
    return 0;
}
