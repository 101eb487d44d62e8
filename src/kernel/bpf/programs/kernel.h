// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The kernel's structures, of which only the fields that are read are named, and the means to read them.
//
// The loader moves each access to where the running kernel has the field (CO-RE, from its BTF). A field that a kernel
// lacks makes the program fail to load, unless it is asked for with `HAS` first. Names with three underscores are
// flavours of one structure: what a kernel of another version calls it.
#ifndef RMAP_KERNEL_H
#define RMAP_KERNEL_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;
// bpf_helpers.h expects these.
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef signed char __s8;
typedef short __s16;
typedef s32 __s32;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u32 __wsum;
typedef u16 __sum16;
enum { BPF_ANY = 0, BPF_MAP_TYPE_ARRAY = 2 };
#define BPF_F_MMAPABLE (1U << 10)

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define OFFSET(type, field) bpf_core_field_offset(struct type, field)
#define HAS(type, field) bpf_core_field_exists(struct type, field)
#define ALWAYS static __always_inline
// A global function is verified once, on its own, so that loops over it stay cheap to verify.
#define STEP __attribute__((noinline)) int
// Old verifiers forget the bounds of a number that was kept on the stack, but not those of a pointer: it is computed
// once, and the compiler must not compute it again.
#define KEEP(pointer) asm volatile("" : "+r"(pointer))

// Reads that fail (an address that is not mapped) are zero. All callers check what they read.
ALWAYS u64 read64(u64 address) {
    u64 value = 0;
    if (bpf_probe_read_kernel(&value, sizeof(value), (const void *)address)) value = 0;
    return value;
}
ALWAYS u32 read32(u64 address) {
    u32 value = 0;
    if (bpf_probe_read_kernel(&value, sizeof(value), (const void *)address)) value = 0;
    return value;
}
ALWAYS u16 read16(u64 address) {
    u16 value = 0;
    if (bpf_probe_read_kernel(&value, sizeof(value), (const void *)address)) value = 0;
    return value;
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };
struct hlist_bl_node { struct hlist_bl_node *next, **pprev; };
struct super_block;
struct inode;
struct dentry;
struct qstr { u32 hash; u32 len; const u8 *name; };
struct dentry {
    struct hlist_bl_node d_hash;
    struct dentry *d_parent;
    struct qstr d_name;
    struct { struct { u32 sequence; } seqcount; } d_seq;
    struct inode *d_inode;
    struct super_block *d_sb;
    union { struct hlist_node d_alias; } d_u;
};
struct dentry___anonymous { struct hlist_node d_alias; };    // 7.3: the union lost its name
struct file_system_type { const char *name; };
struct backing_dev_info { u32 capabilities; };
struct super_block {
    struct list_head s_list;
    u32 s_dev;
    unsigned long s_magic;
    struct file_system_type *s_type;
    struct dentry *s_root;
    char s_id[32];
    struct list_head s_inodes;
    struct backing_dev_info *s_bdi;
};
struct xarray { void *xa_head; };
struct xa_node {
    u8 shift;
    struct xarray *array;
    void *slots[64];
    unsigned long marks[3];
};
struct address_space { struct inode *host; struct xarray i_pages; unsigned long nrpages, flags; };
struct inode {
    u16 i_mode;
    struct super_block *i_sb;
    unsigned long i_ino;
    u32 i_nlink;
    u32 i_rdev;
    u32 i_generation;
    s64 i_size;
    struct list_head i_sb_list;
    struct hlist_head i_dentry;
    struct address_space i_data;
};
struct path { struct dentry *dentry; };
struct fs_struct { struct path root; };
typedef struct { s32 counter; } atomic_t;
struct page { unsigned long flags; void *mapping; atomic_t _mapcount; unsigned long memcg_data; };
struct page___flags { struct { unsigned long f; } flags; };            // 6.18: memdesc_flags_t
struct page___index { unsigned long index; };                          // before 6.16
struct page___folio_index { unsigned long __folio_index; };            // 6.16
struct page___5 { void *mem_cgroup; u32 compound_nr; };                // 5.10: before memcg_data and folios
struct folio___pages { u32 _nr_pages; };                               // 6.14
struct folio___folio_pages { u32 _folio_nr_pages; };                   // 6.1 to 6.13
struct folio___mapped { atomic_t _nr_pages_mapped; };                  // absent with CONFIG_NO_PAGE_MAPCOUNT
struct cgroup;
struct mem_cgroup;
struct kernfs_node { const char *name; u64 id; };
struct kernfs_node___old { struct kernfs_node *parent; };
struct kernfs_node___new { struct kernfs_node *__parent; };            // 6.15
struct cgroup { struct kernfs_node *kn; };
struct cgroup_subsys_state { struct cgroup *cgroup; void *ss; u32 flags; };
struct mem_cgroup { struct cgroup_subsys_state css; };
struct obj_cgroup { struct mem_cgroup *memcg; };
struct css_set { struct cgroup_subsys_state *subsys[4]; struct cgroup *dfl_cgrp; };
struct cgroup___root { void *root; };
struct cgroup_namespace { struct css_set *root_cset; };
struct nsproxy { struct cgroup_namespace *cgroup_ns; };
struct task_struct___namespaces { struct nsproxy *nsproxy; };
struct task_struct { struct fs_struct *fs; struct css_set *cgroups; };
struct kmem_cache { void *node[1024]; };
struct kmem_cache___7 { struct { void *first, *second; } per_node[1024]; };
#pragma clang attribute pop

// Whether this is still the inode that was listed. Its memory and its number may be another file's now, which has
// another generation. The kernel takes an inode off the list of its super block before it drops its pages.
ALWAYS int is_same_inode(u64 inode, u64 super_block, u64 number, u32 generation) {
    u64 node = inode + OFFSET(inode, i_sb_list), next = read64(node + OFFSET(list_head, next));
    return next && next != node && read64(inode + OFFSET(inode, i_sb)) == super_block &&
        read64(inode + OFFSET(inode, i_ino)) == number &&
        read32(inode + OFFSET(inode, i_generation)) == generation &&
        read64(inode + OFFSET(inode, i_data) + OFFSET(address_space, host)) == inode;
}

#endif
