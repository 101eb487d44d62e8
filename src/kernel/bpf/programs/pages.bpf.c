// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Reads the cached pages of inodes: how many, in which state, charged to which memory control group, on which node.
//
// The program is never attached: user space runs it (BPF_PROG_TEST_RUN) again and again, each time for a fraction of a
// millisecond, because a run is an RCU reader and forbids preemption. Within a run the kernel frees no node of a file's
// tree of pages. A folio may go at any time, but struct page is always mapped: what was read counts only if the folio
// still belonged to this place of this file, which stands in the same 64 bytes. Nothing but the shared memory is
// written.
#include "kernel.h"
#include "pages.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct pages_shared);
} shared SEC(".maps");

#define BEGIN                                                                                                          \
    u32 zero = 0;                                                                                                      \
    struct pages_shared *memory = bpf_map_lookup_elem(&shared, &zero);                                                 \
    if (!memory) return 1;                                                                                             \
    struct pages_control *at = &memory->control

// The kernel's values of these are read from its BTF; those here have no meaning.
enum pageflags {
    PG_uptodate = 100, PG_referenced, PG_active, PG_unevictable, PG_mlocked, PG_swapbacked, PG_head, PG_dirty,
    PG_writeback
};
enum cgroup_subsys_id { memory_cgrp_id = 77 };
enum mapping_flags { AS_UNEVICTABLE = 55 };
enum css_flags { CSS_ONLINE = 2 };

#define NO_BIT 63
#define HAS_BIT(flag) bpf_core_enum_value_exists(enum pageflags, flag)
#define BIT_OF(flag) (HAS_BIT(flag) ? (u32)bpf_core_enum_value(enum pageflags, flag) : NO_BIT)

ALWAYS int is_node(u64 entry) { return (entry & 3) == 2 && entry > 4096; }
ALWAYS int is_value(u64 entry) { return entry & 1; }

// One level of the name of a group. Its directories come from the kernfs, which names all groups, removed ones too.
STEP group_level(u64 directory) {
    BEGIN;
    u32 used = at->group_bytes;
    if (used > MAX_GROUP_BYTES - 512) return 1;
    char *place = &memory->group_names[used];
    KEEP(place);
    place[0] = 0;
    u64 name = read64(directory + OFFSET(kernfs_node, name));
    long length = bpf_probe_read_kernel_str(place + 1, 256, (const void *)name);
    // With the NUL, whose place the next name takes.
    if (length > 1 && length <= 256) at->group_bytes = used + (u32)length;
    return 0;
}

ALWAYS u64 parent_of(u64 directory) {
    if (HAS(kernfs_node___new, __parent)) return read64(directory + OFFSET(kernfs_node___new, __parent));
    return read64(directory + OFFSET(kernfs_node___old, parent));
}

ALWAYS u64 controller_of(u64 group) {
    return read64(group + OFFSET(mem_cgroup, css) + OFFSET(cgroup_subsys_state, ss));
}

// Names a group by its directory.
ALWAYS void name_directory(struct pages_control *at, struct group_record *record, u64 directory) {
    record->id = read64(directory + OFFSET(kernfs_node, id));
    for (u32 level = 0; level < 24 && directory; level++) {
        if (at->group_bytes - record->at > 1024) return;
        if (group_level(directory)) return;
        directory = parent_of(directory);
    }
    record->is_known = !directory;
    record->length = at->group_bytes - record->at;
}

// Names the group that a page is charged to, while the page keeps it alive.
STEP name_group(u64 charged, u32 number) {
    BEGIN;
    struct group_record *record = &memory->groups[number & (MAX_GROUPS - 1)];
    KEEP(record);
    record->at = at->group_bytes;
    record->length = 0;
    record->is_known = 0;
    u64 group = charged & ~7ULL;
    if (!group || !at->memory_controller) return 0;
    if (controller_of(group) != at->memory_controller) {
        group = read64(group + OFFSET(obj_cgroup, memcg));    // 7.x: an obj_cgroup stands between
        if (controller_of(group) != at->memory_controller) return 0;
    }
    u64 state = group + OFFSET(mem_cgroup, css);
    record->is_removed = !(read32(state + OFFSET(cgroup_subsys_state, flags)) & CSS_ONLINE);
    u64 directory = read64(read64(state + OFFSET(cgroup_subsys_state, cgroup)) + OFFSET(cgroup, kn));
    name_directory(at, record, directory);
    return 0;
}

// Names the group that /proc shows to this process as `/`: the root of its namespace. It takes the place of the first
// group, as long as none was met.
STEP name_root(u32 controller) {
    BEGIN;
    u64 namespaces = read64(bpf_get_current_task() + OFFSET(task_struct___namespaces, nsproxy));
    u64 groups = read64(read64(namespaces + OFFSET(nsproxy, cgroup_ns)) + OFFSET(cgroup_namespace, root_cset));
    u64 state = read64(groups + OFFSET(css_set, subsys) + 8 * (u64)controller);
    u64 group = read64(state + OFFSET(cgroup_subsys_state, cgroup));
    u64 unified = read64(groups + OFFSET(css_set, dfl_cgrp));
    // In version 2 the controller may be that of a group above.
    if (read64(group + OFFSET(cgroup___root, root)) == read64(unified + OFFSET(cgroup___root, root))) group = unified;
    u64 directory = read64(group + OFFSET(cgroup, kn));
    if (group && directory) name_directory(at, &memory->groups[0], directory);
    return 0;
}

// The number of a group, by hashing. MAX_GROUPS: there are too many.
STEP group_number(u64 charged) {
    BEGIN;
    u32 hash = (u32)(((charged >> 3) * 0x9E3779B97F4A7C15ULL) >> 40);
    for (u32 i = 0; i < 64; i++) {
        u32 number = (hash + i) & (MAX_GROUPS - 1);
        u64 *key = &memory->group_keys[number];
        KEEP(key);
        // Zero marks a free place, and the key of pages that are charged to nobody is one.
        if (*key == (charged | 1)) return number;
        if (*key) continue;
        *key = charged | 1;
        at->groups++;
        name_group(charged, number);
        return number;
    }
    at->group_failures++;
    return MAX_GROUPS;
}

// The record that the pages of a run are added to: one of the last four of this file, or a new one.
STEP part_number(u32 group, u32 node) {
    BEGIN;
    u32 end = at->parts;
    for (u32 back = 1; back <= 4; back++) {
        if (back > at->part_of_file || back > end) break;
        struct part_record *part = &memory->parts[(end - back) & (MAX_PARTS - 1)];
        if (part->group == group && part->node == node) return (end - back) & (MAX_PARTS - 1);
    }
    struct part_record *part = &memory->parts[end & (MAX_PARTS - 1)];
    KEEP(part);
    part->file = at->file;
    part->group = group;
    part->node = node;
    for (u32 i = 0; i < COUNTERS; i++) part->counters[i] = 0;
    at->parts = end + 1;
    at->part_of_file++;
    return end & (MAX_PARTS - 1);
}

ALWAYS u32 own_flags(struct pages_control *at) {
    u64 flags = at->run_flags;
    u32 own = (at->run_tags & 1) << DIRTY | (at->run_tags >> 1 & 1) << WRITEBACK;
#define TRANSLATE(counter, flag) if (flags >> BIT_OF(flag) & 1) own |= 1u << counter
    TRANSLATE(UP_TO_DATE, PG_uptodate);
    TRANSLATE(ACTIVE, PG_active);
    TRANSLATE(REFERENCED, PG_referenced);
    TRANSLATE(UNEVICTABLE, PG_unevictable);
    TRANSLATE(LOCKED, PG_mlocked);
    TRANSLATE(SWAP_BACKED, PG_swapbacked);
    if (at->run_is_large) own |= 1u << LARGE;
    if (at->run_mapped > 0) own |= 1u << MAPPED;
    if (at->run_mapped < 0) own |= 1u << MAPPED_UNKNOWN;
    return own;
}

// How many pages of the run are mapped. Large folios say how many of their pages are.
ALWAYS u64 mapped_pages(struct pages_control *at) {
    if (at->run_mapped <= 0) return 0;
    return at->run_is_large ? (u64)(u32)at->run_mapped * at->run_folios : at->run_pages;
}

// Counts the like folios in a row that end here.
STEP end_run(void) {
    BEGIN;
    u64 pages = at->run_pages;
    if (!pages) return 0;
    u32 is_evicted = at->run_tags & 4, own = is_evicted ? RUN_EVICTED : own_flags(at), group = MAX_GROUPS;
    u32 node = (u32)(at->run_flags >> (at->node_shift & 63)) & at->node_mask;
    if (!is_evicted) {
        if (at->last_charged != at->run_charged || at->last_group > MAX_GROUPS) {
            at->last_group = group_number(at->run_charged);
            at->last_charged = at->run_charged;
        }
        group = at->last_group;
        struct part_record *part = &memory->parts[(u32)part_number(group, node) & (MAX_PARTS - 1)];
        KEEP(part);
        struct sample_record *sample = &memory->samples[at->samples & (MAX_SAMPLES - 1)];
        KEEP(sample);
        sample->folio = at->run_folio;
        sample->flags = own;
        at->samples++;
        // What is compared with the marks of the page is without the one of the file.
        if (at->is_unevictable) own |= 1u << UNEVICTABLE;
        part->counters[PAGES] += pages;
#define ADD(counter) if (own >> counter & 1) part->counters[counter] += pages
        ADD(UP_TO_DATE);
        ADD(DIRTY);
        ADD(WRITEBACK);
        ADD(ACTIVE);
        ADD(REFERENCED);
        ADD(UNEVICTABLE);
        ADD(LOCKED);
        ADD(SWAP_BACKED);
        ADD(LARGE);
        ADD(MAPPED_UNKNOWN);
        part->counters[MAPPED] += mapped_pages(at);
    }
    if ((at->mode & READ_RUNS) && at->runs < MAX_RUNS) {
        struct run_record *run = &memory->runs[at->runs & (MAX_RUNS - 1)];
        KEEP(run);
        run->index = at->run_index;
        run->pages = pages;
        run->group = group;
        run->node = node;
        run->mapped = mapped_pages(at);
        run->flags = own;
        at->runs++;
    }
    at->run_pages = 0;
    at->run_folios = 0;
    return 0;
}

// Adds pages to the like ones before them, or begins anew. Tags: 1 dirty, 2 writeback, 4 evicted.
ALWAYS void add(
    struct pages_control *at, u64 index, u64 pages, u64 flags, u32 tags, u64 charged, s32 mapped, u32 is_large,
    u64 folio
) {
    int is_alike = at->run_pages && flags == at->run_flags && tags == at->run_tags && charged == at->run_charged &&
        mapped == at->run_mapped && is_large == at->run_is_large;
    if (!is_alike || ((at->mode & READ_RUNS) && at->run_index + at->run_pages != index)) {
        end_run();
        at->run_index = index;
        at->run_flags = flags;
        at->run_tags = tags;
        at->run_charged = charged;
        at->run_mapped = mapped;
        at->run_is_large = is_large;
        at->run_folio = folio;
    }
    at->run_pages += pages;
    at->run_folios++;
}

// A word of the first 64 bytes of a struct page. User space checks that it has 64.
#define WORD(offset) (*(u64 *)((u8 *)words + ((offset) & 56)))

#define BDEVFS_MAGIC 0x62646576
#define BDI_CAP_WRITEBACK 1    // since 5.10

// Whether pages of this file system are ever written back: those of tmpfs and its like are dirty without a mark.
ALWAYS int can_write_back(u64 super_block) {
    u64 device = read64(super_block + OFFSET(super_block, s_bdi));
    return read32(device + OFFSET(backing_dev_info, capabilities)) & BDI_CAP_WRITEBACK ||
        read64(super_block + OFFSET(super_block, s_magic)) == BDEVFS_MAGIC;
}

// Whether all pages of a file are kept, as those of ramfs and of shared memory that was locked with SHM_LOCK. The mark
// of each page comes only when the kernel looks for pages to reclaim.
ALWAYS u32 never_reclaimed(u64 mapping) {
    if (!bpf_core_enum_value_exists(enum mapping_flags, AS_UNEVICTABLE)) return 0;
    u32 bit = (u32)bpf_core_enum_value(enum mapping_flags, AS_UNEVICTABLE) & 63;
    return read64(mapping + OFFSET(address_space, flags)) >> bit & 1;
}

// One folio. 1: it was not this file's when it was read.
STEP folio_step(u64 folio, u64 index, u64 mapping, u32 tags) {
    BEGIN;
    u64 words[8];
    if (folio == at->last_folio) return 0;    // 5.10: a huge page stands in each of its entries
    if (bpf_probe_read_kernel(words, sizeof(words), (const void *)folio)) return 1;
    u64 flags = HAS(page___flags, flags) ? WORD(OFFSET(page___flags, flags)) : WORD(OFFSET(page, flags));
    u64 here = HAS(page___folio_index, __folio_index) ? WORD(OFFSET(page___folio_index, __folio_index))
                                                      : WORD(OFFSET(page___index, index));
    if (WORD(OFFSET(page, mapping)) != mapping || here != index) return 1;
    u64 charged = 0;
    if (HAS(page, memcg_data)) charged = WORD(OFFSET(page, memcg_data));
    else if (HAS(page___5, mem_cgroup)) charged = WORD(OFFSET(page___5, mem_cgroup));
    u32 offset = OFFSET(page, _mapcount);
    s32 mapped = (s32)(u32)(offset & 4 ? WORD(offset) >> 32 : WORD(offset)) + 1 > 0;
    u64 pages = 1;
    u32 is_large = flags >> BIT_OF(PG_head) & 1;
    if (is_large) {
        if (HAS(folio___pages, _nr_pages)) pages = read32(folio + OFFSET(folio___pages, _nr_pages));
        else if (HAS(folio___folio_pages, _folio_nr_pages))
            pages = read32(folio + OFFSET(folio___folio_pages, _folio_nr_pages));
        else pages = read32(folio + 64 + OFFSET(page___5, compound_nr));
        if (!pages || pages > 1 << 20) return 1;
        mapped = -1;
        if (HAS(folio___mapped, _nr_pages_mapped)) {
            // How many of its pages are mapped one by one, and a bit for a mapping of all of them.
            u32 count = read32(folio + OFFSET(folio___mapped, _nr_pages_mapped));
            mapped = count & 0x800000 ? (s32)pages : (s32)(count & 0x7fffff);
        }
    }
    at->last_folio = folio;
    // The marks of a tree without nodes stand in bits whose places no kernel describes.
    if (at->is_single && at->writes_back)
        tags = (flags >> BIT_OF(PG_dirty) & 1) | (flags >> BIT_OF(PG_writeback) & 1) << 1;
    add(at, index, pages, flags & at->kept_flags, tags, charged, mapped, is_large, folio);
    return 0;
}

// What is the same for all files: where this kernel has what.
ALWAYS void set_up(struct pages_control *at) {
    u64 kept = 0;
#define KEEP_BIT(flag) if (BIT_OF(flag) < NO_BIT) kept |= 1ULL << BIT_OF(flag)
    KEEP_BIT(PG_uptodate);
    KEEP_BIT(PG_active);
    KEEP_BIT(PG_referenced);
    KEEP_BIT(PG_unevictable);
    KEEP_BIT(PG_mlocked);
    KEEP_BIT(PG_swapbacked);
    // The node stands in the highest bits, as many as the largest node number needs.
    u32 nodes = HAS(kmem_cache___7, per_node)
        ? bpf_core_field_size(struct kmem_cache___7, per_node) / bpf_core_field_size(struct kmem_cache___7, per_node[0])
        : bpf_core_field_size(struct kmem_cache, node) / 8;
    u32 width = 0;
    for (u32 i = 0; i < 12; i++)
        if ((1u << i) < nodes) width = i + 1;
    at->node_shift = (64 - width) & 63;
    at->node_mask = (1u << width) - 1;
    at->kept_flags = kept | (u64)at->node_mask << at->node_shift;
    at->knows_mapped = HAS(folio___mapped, _nr_pages_mapped);
    at->page_bytes = bpf_core_type_size(struct page);
    if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
        u64 groups = read64(bpf_get_current_task() + OFFSET(task_struct, cgroups));
        u32 number = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
        u64 state = read64(groups + OFFSET(css_set, subsys) + 8 * number);
        at->memory_controller = read64(state + OFFSET(cgroup_subsys_state, ss));
        name_root(number);
    }
    at->last_group = MAX_GROUPS + 1;
    at->is_set_up = 1;
}

// From the root of the tree down to the lowest node at `index`. 1: nothing is left in this file; 2: again.
STEP descend(u64 tree) {
    BEGIN;
    u64 entry = read64(tree + OFFSET(xarray, xa_head)), node = 0, index = at->index;
    u32 level = 0, slot = 0;
    if (!is_node(entry)) {    // a single page, at offset 0
        if (index || !entry) return 1;
        memory->slots[0] = entry;
        at->node = tree + OFFSET(xarray, xa_head) - OFFSET(xa_node, slots);
        at->node_index = at->dirty_marks = at->writeback_marks = 0;
        at->node_level = at->first_slot = 0;
        at->is_single = 1;
        at->writes_back = can_write_back(memory->files[at->file & (MAX_FILES - 1)].super_block);
        return 0;
    }
    for (u32 depth = 0; depth < 11; depth++) {
        node = entry - 2;
        u32 below = (u8)read32(node + OFFSET(xa_node, shift)) & 63;
        if (read64(node + OFFSET(xa_node, array)) != tree || (depth && below >= level)) {
            return at->failed_descents++ < 64 ? 2 : 1;
        }
        level = below;
        if (!depth && index >> level >> 6) return 1;
        slot = (index >> level) & 63;
        entry = read64(node + OFFSET(xa_node, slots) + slot * 8);
        if (!is_node(entry)) break;
    }
    if (bpf_probe_read_kernel(memory->slots, sizeof(memory->slots), (void *)(node + OFFSET(xa_node, slots)))) return 1;
    at->node = node;
    at->node_index = index & ~((64ULL << level) - 1);
    at->node_level = level;
    at->first_slot = slot;
    at->is_single = 0;
    at->dirty_marks = read64(node + OFFSET(xa_node, marks));
    at->writeback_marks = read64(node + OFFSET(xa_node, marks) + 8);
    return 0;
}

// One entry of the node. 1: the walk goes down to another node that stands there, or ends.
STEP slot_step(u32 slot, u64 mapping) {
    BEGIN;
    u32 number = at->file;
    if (number >= MAX_FILES) return 1;
    struct file_record *file = &memory->files[number];
    KEEP(file);
    slot &= 63;
    u64 entry = memory->slots[slot];
    if (!entry) return 0;
    u32 level = at->node_level & 63;
    u64 index = at->node_index + ((u64)slot << level), size = 1ULL << level;
    if (is_node(entry) || index >= file->end) {
        at->index = index;
        return 1;
    }
    if ((entry & 3) == 2) {    // the rest of a large folio, or of a large evicted one
        if (entry < 256 && at->last_was_value) {
            file->evicted += size;
            if (at->mode & READ_RUNS) at->run_pages += size;
        }
        return 0;
    }
    at->last_was_value = is_value(entry);
    if (is_value(entry)) {
        file->evicted += size;
        if (at->mode & READ_RUNS) add(at, index, size, 0, 4, 0, 0, 0, 0);
        return 0;
    }
    u32 tags = (at->dirty_marks >> slot & 1) | (at->writeback_marks >> slot & 1) << 1;
    if (folio_step(entry, index, mapping, tags)) {
        // It moved or was split between the two reads.
        u64 again = read64(at->node + OFFSET(xa_node, slots) + slot * 8);
        if (again == entry || !again || (again & 3) || folio_step(again, index, mapping, tags)) file->raced++;
    }
    return 0;
}

// One node of the tree of the current file. 1: the run ends.
STEP step(void) {
    BEGIN;
    u32 number = at->file;
    if (number >= at->files || number >= MAX_FILES) {
        at->status = DONE;
        return 1;
    }
    int is_full = at->parts > MAX_PARTS - PART_SLACK || at->runs > MAX_RUNS - PART_SLACK;
    if (is_full || at->group_bytes > MAX_GROUP_BYTES - GROUP_SLACK || bpf_ktime_get_ns() > at->end_ns) return 1;
    struct file_record *file = &memory->files[number];
    KEEP(file);
    u64 mapping = file->address + OFFSET(inode, i_data), tree = mapping + OFFSET(address_space, i_pages);
    int is_same = is_same_inode(file->address, file->super_block, file->number, file->generation);
    if (is_same) {
        if (!at->has_begun) {
            file->pages_before = read64(mapping + OFFSET(address_space, nrpages));
            file->size_before = read64(file->address + OFFSET(inode, i_size));
            file->state = FILE_BEGUN;
            at->has_begun = 1;
            at->index = file->first;
            at->last_folio = 0;
            at->last_was_value = 0;
            at->failed_descents = 0;
            at->is_unevictable = never_reclaimed(mapping);
        }
        int found = at->index < file->end ? descend(tree) : 1;
        if (found == 2) return 0;
        if (found == 0) {
            u32 first = at->first_slot;
            for (u32 slot = 0; slot < 64; slot++) {
                if (slot < first) continue;
                if (slot_step(slot, mapping)) return 0;
                if (at->is_single) break;
            }
            at->index = at->node_index + (64ULL << (at->node_level & 63));
            if (!at->is_single && at->index > at->node_index) return 0;
        }
        file->pages_after = read64(mapping + OFFSET(address_space, nrpages));
        file->size_after = read64(file->address + OFFSET(inode, i_size));
        is_same = is_same_inode(file->address, file->super_block, file->number, file->generation);
    }
    end_run();
    file->state = is_same ? FILE_READ : FILE_GONE;
    at->index = 0;
    at->has_begun = 0;
    at->part_of_file = 0;
    at->file = number + 1;
    return 0;
}

// The pages of `files`, from the position on.
SEC("raw_tp/sys_enter") int read_pages(void *context) {
    BEGIN;
    at->status = MORE;
    at->parts = at->runs = at->samples = at->part_of_file = at->group_bytes = 0;
    at->end_ns = bpf_ktime_get_ns() + at->budget_ns;
    if (!at->is_set_up) set_up(at);
    for (u32 i = 0; i < 1024; i++)
        if (step()) break;
    end_run();
    return 0;
}
