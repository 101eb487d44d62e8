//! The parser of `/proc/PID/stat`: the few fields that rmap needs, from bytes. The name may contain anything.

/// `PF_KTHREAD` in the kernel's `include/linux/sched.h`, unchanged since 2.6.27.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// `PF_EXITING` in the same file.
const EXITING: u32 = 0x0000_0004;

/// The `stat` of a process or a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    /// The id of the thread.
    pub(super) thread: u32,
    /// Its name (`comm`).
    pub(super) name: Vec<u8>,
    state: u8,
    /// The pid of its parent; 0 if it has none in this pid namespace.
    pub(super) parent: u32,
    flags: u32,
    pub(super) threads: u64,
    /// When it started, in clock ticks after boot.
    pub(super) start_time: u64,
    /// The size of its address space in bytes.
    pub(super) address_space: u64,
    /// Where its code begins and ends and where its stack begins: different after `execve`.
    pub(super) program: [u64; 3],
}

impl Stat {
    /// Whether it runs in the kernel and has no memory of its own.
    pub(super) fn is_kernel_thread(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }

    /// Whether it is exiting, and may already have released its memory.
    pub(super) fn is_exiting(&self) -> bool {
        self.flags & EXITING != 0
    }

    /// Whether it has exited and no longer has memory of its own.
    pub(super) fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Parses `/proc/PID/stat`; `None` if it is not in the kernel's format.
pub(super) fn parse_stat(text: &[u8]) -> Option<Stat> {
    // The name may contain parentheses and spaces: it ends at the last parenthesis.
    let open = memchr::memchr(b'(', text)?;
    let close = memchr::memrchr(b')', text)?;
    let pid = text.get(..open)?.strip_suffix(b" ")?;
    let thread = parse_number(pid)?;
    let rest = text.get(close..)?.strip_prefix(b") ")?;
    let fields: Vec<&[u8]> = rest.split(u8::is_ascii_whitespace).collect();
    // proc_pid_stat(5) counts the fields from 1; the state is the third.
    let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
    let number = |place| field(place).and_then(parse_number::<u64>);
    let [state] = field(3)? else { return None };
    Some(Stat {
        thread,
        name: text.get(open + 1..close)?.to_vec(),
        state: *state,
        parent: field(4).and_then(parse_number)?,
        flags: field(9).and_then(parse_number)?,
        threads: number(20)?,
        start_time: number(22)?,
        address_space: number(23)?,
        program: [number(26)?, number(27)?, number(28)?],
    })
}

fn parse_number<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_spaces_and_any_bytes_does_not_shift_the_fields() {
        let text = std::fs::read("/proc/self/stat").unwrap();
        let close = memchr::memrchr(b')', &text).unwrap();
        let own = parse_stat(&text).unwrap();
        for name in [&b"a) S (b"[..], b"\xff\xfe", b"", b"\n"] {
            let odd = parse_stat(&[b"4690 (", name, &text[close..]].concat()).unwrap();
            assert_eq!((odd.start_time, odd.program), (own.start_time, own.program));
            assert_eq!(odd.name, name);
        }
        assert!(own.start_time > 0 && own.address_space > 0 && own.threads > 0);
        assert!(!own.is_zombie() && !own.is_kernel_thread() && !own.is_exiting());
    }

    #[test]
    fn text_in_another_format_is_rejected() {
        for text in [&b""[..], b"(", b")(", b"1 ()", b"(a) R", b"1 (a)R 1", b"x (a) R 1 2", b"1 (a) R 1 2"] {
            assert!(parse_stat(text).is_none(), "{}", text.escape_ascii());
        }
    }
}
