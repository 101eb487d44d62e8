//! The caches of small kernel objects, from `/proc/slabinfo`, which only root can read.

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::ProcRoot;
use crate::units::{Bytes, PageSize, Pages};

/// How long `slabinfo` may be: some hundred caches, or thousands on kernels that have them for each control group.
const LONGEST: u64 = 1 << 26;

/// A cache of objects of one type, or of types that have the same size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlabCache {
    /// Its name. The kernel may use one cache for several types of the same size, under the name of the first.
    pub name: Vec<u8>,
    /// The objects that are in use, as far as the kernel counts them.
    pub active_objects: u64,
    /// The objects that it has room for.
    pub objects: u64,
    /// The size of an object, with what the kernel keeps next to it.
    pub object_size: Bytes,
    /// The memory that it takes: all pages of all its slabs.
    pub size: Bytes,
}

impl SlabCache {
    /// The bytes of the objects in use.
    pub fn used(&self) -> Bytes {
        Bytes(self.active_objects.saturating_mul(self.object_size.0))
    }

    /// What its objects are, in words; `None` if the name is not known.
    pub fn what(&self) -> Option<&'static str> {
        what(&self.name)
    }

    fn parse(line: &[u8], page: PageSize) -> Option<SlabCache> {
        // dentry 100 120 192 21 1 : tunables 0 0 0 : slabdata 6 6 0
        let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        let data = words.iter().position(|word| *word == b"slabdata")?;
        let number = |place: usize| std::str::from_utf8(words.get(place)?).ok()?.parse::<u64>().ok();
        let (pages, slabs) = (number(5)?, number(data + 2)?);
        Some(SlabCache {
            name: words.first()?.to_vec(),
            active_objects: number(1)?,
            objects: number(2)?,
            object_size: Bytes(number(3)?),
            size: Pages(slabs.saturating_mul(pages)).bytes(page),
        })
    }
}

/// All caches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlabCaches(pub Vec<SlabCache>);

impl SlabCaches {
    /// Reads them.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`]: this user is not root. [`ErrorKind::NotFound`]: the kernel has no such file.
    pub fn read(root: &ProcRoot, page: PageSize) -> Result<SlabCaches> {
        let path = root.path().join("slabinfo");
        let text = root.read_long_file("slabinfo", LONGEST).map_err(|error| {
            let error = Error::io(Subject::Path(path.clone()), &error);
            if error.kind() == ErrorKind::Denied { root.advised(error) } else { error }
        })?;
        match text.starts_with(b"slabinfo - version: 2") {
            true => Ok(SlabCaches::parse(&text, page)),
            false => Err(Error::path(&path, ErrorKind::Malformed, "it is not in the kernel's format")),
        }
    }

    /// Parses the text. What is not in the kernel's format is left out.
    pub fn parse(text: &[u8], page: PageSize) -> SlabCaches {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
        SlabCaches(lines.filter_map(|line| SlabCache::parse(line, page)).collect())
    }
}

/// What the objects of well-known caches are.
const KNOWN: &[(&str, &str)] = &[
    ("Acpi-Operand", "objects of the ACPI interpreter"),
    ("Acpi-Namespace", "names of the ACPI interpreter"),
    ("PING", "ping sockets"),
    ("RAW", "raw sockets"),
    ("TCP", "TCP sockets"),
    ("TCPv6", "TCP sockets (IPv6)"),
    ("UDP", "UDP sockets"),
    ("UDPv6", "UDP sockets (IPv6)"),
    ("UNIX", "Unix sockets"),
    ("anon_vma", "which mappings have an anonymous page"),
    ("anon_vma_chain", "which mappings have an anonymous page"),
    ("avc_node", "decisions of SELinux"),
    ("avtab_node", "rules of SELinux"),
    ("bdev_cache", "inodes of block devices"),
    ("bio-", "requests to block devices"),
    ("biovec-", "pages of requests to block devices"),
    ("blkdev_", "queues of block devices"),
    ("bpf_", "BPF"),
    ("btrfs_delayed_", "changes that btrfs has not written"),
    ("btrfs_extent_buffer", "tree blocks of btrfs"),
    ("btrfs_extent_map", "where files of btrfs are on disk"),
    ("btrfs_free_space", "free space of btrfs"),
    ("btrfs_inode", "inodes of btrfs"),
    ("btrfs_path", "searches in trees of btrfs"),
    ("buffer_head", "disk blocks of cached pages"),
    ("cfq_", "queues of the CFQ scheduler"),
    ("ceph_inode_info", "inodes of Ceph"),
    ("cifs_inode_cache", "inodes of SMB"),
    ("cred_jar", "credentials of processes"),
    ("debug_objects_cache", "debugging of objects"),
    ("dentry", "names of files (directory cache)"),
    ("dm_", "device mapper"),
    ("dma-kmalloc-", "kmalloc, for DMA"),
    ("dnotify_", "watched directories (dnotify)"),
    ("dquot", "disk quotas"),
    ("drm_i915_gem_object", "buffers of the graphics driver"),
    ("ebitmap_node", "rules of SELinux"),
    ("ep_head", "epoll"),
    ("epitem", "descriptors in epoll"),
    ("eventpoll_", "descriptors in epoll"),
    ("ext4_extent_status", "where files of ext4 are on disk"),
    ("ext4_groupinfo_", "free blocks of ext4"),
    ("ext4_inode_cache", "inodes of ext4"),
    ("ext4_", "ext4"),
    ("extended_perms_data", "rules of SELinux"),
    ("f2fs_inode_cache", "inodes of F2FS"),
    ("fanotify_", "watched files (fanotify)"),
    ("fasync_cache", "signals for I/O"),
    ("fat_inode_cache", "inodes of FAT"),
    ("file_lock_cache", "file locks"),
    ("files_cache", "tables of open files"),
    ("filp", "open files"),
    ("fs_cache", "working directories of processes"),
    ("fsnotify_mark", "watched files"),
    ("fuse_inode", "inodes of FUSE"),
    ("fuse_request", "requests of FUSE"),
    ("hugetlbfs_inode_cache", "inodes of hugetlbfs"),
    ("inet_peer_cache", "IP peers"),
    ("inode_cache", "inodes of proc-like file systems"),
    ("inotify_inode_mark", "watched files (inotify)"),
    ("io_kiocb", "requests of io_uring"),
    ("iommu_iova", "addresses for DMA"),
    ("ip6_dst_cache", "routes (IPv6)"),
    ("ip_dst_cache", "routes"),
    ("ip_fib_", "routing tables"),
    ("isofs_inode_cache", "inodes of CD-ROMs"),
    ("jbd2_", "journal of ext4"),
    ("kernfs_iattrs_cache", "attributes in sysfs and cgroups"),
    ("kernfs_node_cache", "files of sysfs and cgroups"),
    ("khugepaged_mm_slot", "processes for huge pages"),
    ("kioctx", "asynchronous I/O"),
    ("kmalloc-cg-", "kmalloc, charged to control groups"),
    ("kmalloc-rcl-", "kmalloc, reclaimable"),
    ("kmalloc-rnd-", "kmalloc: any use of this size"),
    ("kmalloc-", "kmalloc: any use of this size"),
    ("kmem_cache", "the caches themselves"),
    ("kvm_mmu_page_header", "page tables of virtual machines"),
    ("kvm_", "virtual machines"),
    ("ksm_", "pages merged by KSM"),
    ("lsm_", "security modules"),
    ("maple_node", "trees of mappings"),
    ("mb_cache_entry", "shared attributes of ext4"),
    ("mm_struct", "address spaces of processes"),
    ("mnt_cache", "mounts"),
    ("mqueue_inode_cache", "inodes of message queues"),
    ("names_cache", "paths that are being looked up"),
    ("net_namespace", "network namespaces"),
    ("nf_conntrack", "tracked connections (firewall, NAT)"),
    ("nfs_inode_cache", "inodes of NFS"),
    ("nfs_", "NFS"),
    ("nfsd", "NFS server"),
    ("nsproxy", "namespaces of processes"),
    ("ntfs_inode_cache", "inodes of NTFS"),
    ("numa_policy", "NUMA policies of mappings"),
    ("ovl_inode", "inodes of overlayfs"),
    ("page->ptl", "locks of page tables"),
    ("perf_event", "performance counters"),
    ("pde_opener", "open files of /proc"),
    ("pid", "process ids"),
    ("pool_workqueue", "work queues"),
    ("posix_timers_cache", "timers of processes"),
    ("proc_dir_entry", "files of /proc"),
    ("proc_inode_cache", "inodes of /proc"),
    ("radix_tree_node", "index of the page cache"),
    ("reiser_inode_cache", "inodes of ReiserFS"),
    ("request_sock_", "connections being made"),
    ("rpc_", "remote procedure calls (NFS)"),
    ("scsi_", "SCSI"),
    ("selinux_", "SELinux"),
    ("seq_file", "files of /proc that are being read"),
    ("sgpool-", "pages of requests to disks"),
    ("shared_policy_node", "NUMA policies of shared memory"),
    ("shmem_inode_cache", "inodes of tmpfs and shared memory"),
    ("sighand_cache", "signal handlers of processes"),
    ("signal_cache", "signals of processes"),
    ("sigqueue", "pending signals"),
    ("skbuff_", "network packets"),
    ("sock_inode_cache", "sockets"),
    ("squashfs_inode_cache", "inodes of squashfs"),
    ("sw_flow", "Open vSwitch"),
    ("task_delay_info", "delays of threads"),
    ("task_group", "groups of the scheduler"),
    ("task_struct", "threads"),
    ("taskstats", "statistics of threads"),
    ("tcp_bind_bucket", "TCP ports"),
    ("thread_stack", "stacks of threads in the kernel"),
    ("trace_event_file", "trace events"),
    ("ftrace_event_field", "trace events"),
    ("tw_sock_", "closed connections (TIME-WAIT)"),
    ("uid_cache", "users"),
    ("uts_namespace", "host names of namespaces"),
    ("vm_area_struct", "mappings of processes"),
    ("vma_lock", "locks of mappings"),
    ("vmap_area", "ranges of vmalloc"),
    ("xfrm_", "IPsec"),
    ("xfs_buf", "blocks of XFS metadata"),
    ("xfs_ili", "changed inodes of XFS"),
    ("xfs_inode", "inodes of XFS"),
    ("xfs_", "XFS"),
    ("zfs_znode_cache", "inodes of ZFS"),
    ("dnode_t", "objects of ZFS"),
    ("zio_", "I/O of ZFS"),
    ("zs_handle", "compressed pages (zram, zswap)"),
    ("zspage", "compressed pages (zram, zswap)"),
    ("zswap_entry", "compressed pages of zswap"),
];

/// The most specific description of a cache: one of its name or of a group of names, which end with `-` or `_`.
fn what(name: &[u8]) -> Option<&'static str> {
    // On kernels before 5.9 a control group may have a cache of its own: dentry(12:cron.service).
    let name = name.split(|byte| *byte == b'(').next().unwrap_or_default();
    let matches = |known: &&(&str, &str)| match known.0.ends_with(['-', '_']) {
        true => name.starts_with(known.0.as_bytes()),
        false => name == known.0.as_bytes() || is_variant(name, known.0.as_bytes()),
    };
    KNOWN.iter().filter(matches).max_by_key(|(known, _)| known.len()).map(|(_, what)| *what)
}

/// Whether a name is another one with a number behind it, as `pid_2` and `names_cache_4k`.
fn is_variant(name: &[u8], known: &[u8]) -> bool {
    let rest = name.strip_prefix(known).and_then(|rest| rest.strip_prefix(b"_").or(rest.strip_prefix(b"-")));
    rest.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> \
        <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> \
        <sharedavail>\ndentry         100    126    192   21    1 : tunables    0    0    0 : slabdata    6    6    0\n\
        kmalloc-8k         10     12   8192    4    8 : tunables    8    4    0 : slabdata      3      3      0 \
        : globalstat 1 2\nshort 1 2\nodd x y z a b : tunables 0 0 0 : slabdata 1 1 1\n";

    #[test]
    fn a_cache_takes_all_pages_of_its_slabs() {
        let SlabCaches(caches) = SlabCaches::parse(TEXT, PageSize::FOUR_KIB);
        let seen: Vec<_> = caches.iter().map(|cache| (&cache.name[..], cache.size.0, cache.used().0)).collect();
        // Not 126 * 192 bytes: a slab of 21 objects has a rest that nobody can use.
        assert_eq!(seen, [(&b"dentry"[..], 6 * 4096, 100 * 192), (b"kmalloc-8k", 3 * 8 * 4096, 10 * 8192)]);
    }

    #[test]
    fn names_are_described_by_the_most_specific_entry() {
        for (name, described) in [
            ("dentry", Some("names of files (directory cache)")),
            ("dentry(12:cron.service)", Some("names of files (directory cache)")),
            ("kmalloc-512", Some("kmalloc: any use of this size")),
            ("kmalloc-rcl-64", Some("kmalloc, reclaimable")),
            ("ext4_inode_cache", Some("inodes of ext4")),
            ("ext4_io_end", Some("ext4")),
            ("pid_2", Some("process ids")),
            ("pidx", None),
            ("unheard_of", None),
        ] {
            assert_eq!(what(name.as_bytes()), described, "{name}");
        }
    }
}
