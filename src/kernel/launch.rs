//! Starts a program as a child, with a filter for its system calls if that is wanted and possible.
//!
//! The program is killed if the thread that started it ends, so that it never stays behind. The kernel forgets that
//! when the program changes its user; the [`Heir`] does not. What the program itself has started may live longer than
//! this process; the heir then lets its system calls go on.

#![allow(unsafe_code, reason = "what a forked child does before it executes the program")]

use std::ffi::{CString, c_char, c_int};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

use super::heir::Heir;
use super::notify::{Filter, Listener};

/// A program that was started.
#[derive(Debug)]
pub(crate) struct Launched {
    /// Its pid.
    pub(crate) pid: Pid,
    /// Receives its system calls, or why that is not possible; `None` if it was not wanted.
    pub(crate) listener: Option<Result<Listener, Errno>>,
    /// Ends the program and holds the listener after this process has ended.
    _heir: Option<Heir>,
}

/// Why a program was not started.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// The program cannot be run.
    Program(io::Error),
    /// Its system calls cannot be received, though the kernel can report them.
    Calls(Errno),
}

impl<E: Into<io::Error>> From<E> for NotStarted {
    fn from(error: E) -> NotStarted {
        NotStarted::Program(error.into())
    }
}

/// The errors that mean that system calls are not reported here: by this kernel, in a sandbox that does not let a
/// filter be installed, or because another program receives them.
const NOT_REPORTED: [Errno; 6] =
    [Errno::ENOSYS, Errno::EINVAL, Errno::EOPNOTSUPP, Errno::EPERM, Errno::EACCES, Errno::EBUSY];

/// What the child reports before it executes the program: the error of installing the filter, or 0.
type Word = [u8; 4];

/// Starts the program `command[0]`, which is looked for in `PATH`, with these arguments. `mask` are the signals that it
/// begins with blocked. Returns once the program itself runs; it has made no system call of its own by then that the
/// filter holds.
///
/// # Errors
/// As `fork(2)`, `socketpair(2)` and `execve(2)`; as `seccomp(2)`, except that its calls may not be reported at all.
#[doc(alias = "execvp")]
pub(crate) fn launch(command: &[CString], filter: Option<&Filter>, mask: &SigSet) -> Result<Launched, NotStarted> {
    let mut words: Vec<*const c_char> = command.iter().map(|word| word.as_ptr()).collect();
    words.push(ptr::null());
    let (mut near, far) = UnixStream::pair()?;
    let parent = Pid::this();
    // SAFETY: the child only makes system calls, uses no memory but what was made before, and then executes the
    // program or ends with `_exit`. `execvp` of glibc and musl allocates nothing.
    let forked = unsafe { fork() }?;
    let ForkResult::Parent { child: pid } = forked else {
        become_program(&words, filter, mask, parent, far.as_raw_fd());
    };
    drop(far);
    let mut launched = Launched { pid, listener: None, _heir: None };
    if filter.is_some() {
        match receive_listener(&near) {
            Ok(Err(errno)) | Err(errno) if !NOT_REPORTED.contains(&errno) => {
                end(pid);
                return Err(NotStarted::Calls(errno));
            }
            received => launched.listener = Some(received.and_then(|received| received)),
        }
    }
    launched._heir = Heir::start(pid, launched.listener.as_ref().and_then(|found| found.as_ref().ok())).ok();
    match await_program(&mut near, launched.listener.as_ref().and_then(|found| found.as_ref().ok())) {
        Ok(None) => Ok(launched),
        failed => {
            // Its exit may be held, too.
            end(pid);
            Err(failed?.unwrap_or(Errno::EIO).into())
        }
    }
}

/// Kills a child and waits for its end.
fn end(pid: Pid) {
    let _ = kill(pid, Signal::SIGKILL);
    while waitpid(pid, None) == Err(Errno::EINTR) {}
}

/// Waits until the child executes the program, and lets its attempts go on: one per directory of `PATH`. Returns the
/// error if no attempt succeeds.
fn await_program(channel: &mut UnixStream, listener: Option<&Listener>) -> io::Result<Option<Errno>> {
    loop {
        let mut ready = vec![PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
        ready.extend(listener.map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        match poll(&mut ready, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled?,
        };
        // The channel is closed before the program makes its first call.
        if ready.first().is_some_and(|channel| channel.any() == Some(true)) {
            let mut word: Word = [0; 4];
            return match channel.read_exact(&mut word) {
                Ok(()) => Ok(Some(Errno::from_raw(i32::from_ne_bytes(word)))),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                Err(error) => Err(error),
            };
        }
        if let Some(listener) = listener
            && let Ok(call) = listener.receive()
        {
            // If the child was killed, the channel reports it.
            let _ = listener.let_go(&call);
        }
    }
}

/// The child.
fn become_program(words: &[*const c_char], filter: Option<&Filter>, mask: &SigSet, parent: Pid, channel: RawFd) -> ! {
    // SAFETY: a plain system call, as are the next two.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: see above. If the parent has ended before, no signal comes.
    if unsafe { libc::getppid() } != parent.as_raw() {
        // SAFETY: this ends the process at once.
        unsafe { libc::_exit(127) };
    }
    // The standard library ignores it in this process, which the program would inherit.
    // SAFETY: see above.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let _ = mask.thread_set_mask();
    if let Some(filter) = filter {
        match filter.install() {
            Ok(listener) => send(channel, 0, Some(listener)),
            Err(errno) => {
                send(channel, errno as i32, None);
                if !NOT_REPORTED.contains(&errno) {
                    // SAFETY: this ends the process at once.
                    unsafe { libc::_exit(127) };
                }
            }
        }
    }
    let program = words.first().copied().unwrap_or(c"".as_ptr());
    // SAFETY: the words end in NULs, and the list in a null pointer.
    unsafe { libc::execvp(program, words.as_ptr()) };
    send(channel, Errno::last_raw(), None);
    // SAFETY: this ends the process at once.
    unsafe { libc::_exit(127) }
}

/// Room for a message with one descriptor, aligned as its head.
#[repr(C, align(8))]
struct Room([u8; 64]);

/// Runs `with` over a message that has this word and room for a descriptor.
fn with_message<T>(word: &mut Word, with: impl FnOnce(&mut libc::msghdr) -> T) -> T {
    let mut room = Room([0; 64]);
    let mut part = libc::iovec { iov_base: word.as_mut_ptr().cast(), iov_len: word.len() };
    // SAFETY: it has integers and pointers that may be null.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut room.0).cast();
    message.msg_controllen = room.0.len() as _;
    with(&mut message)
}

/// Sends a word, and a descriptor if there is one. It allocates nothing.
fn send(channel: RawFd, word: i32, fd: Option<RawFd>) {
    let mut word = word.to_ne_bytes();
    with_message(&mut word, |message| {
        if let Some(fd) = fd {
            // SAFETY: the message has room for one head and one descriptor.
            let head = unsafe { libc::CMSG_FIRSTHDR(message) };
            // SAFETY: a size is calculated, nothing else, here and below.
            let length = unsafe { libc::CMSG_LEN(size_of::<c_int>() as u32) };
            // SAFETY: see above.
            message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<c_int>() as u32) } as _;
            // SAFETY: it has integers alone. Those beyond the three below are padding, which musl names.
            let mut described: libc::cmsghdr = unsafe { std::mem::zeroed() };
            described.cmsg_len = length as _;
            described.cmsg_level = libc::SOL_SOCKET;
            described.cmsg_type = libc::SCM_RIGHTS;
            // SAFETY: the head is in the room, which is aligned for it.
            unsafe { head.write(described) };
            // SAFETY: the data follow the head.
            let data = unsafe { libc::CMSG_DATA(head) };
            // SAFETY: the data have room for one descriptor.
            unsafe { data.cast::<c_int>().write_unaligned(fd) };
        } else {
            message.msg_controllen = 0;
        }
        // SAFETY: the message refers to memory that outlives the call.
        while unsafe { libc::sendmsg(channel, message, libc::MSG_NOSIGNAL) } < 0 && Errno::last() == Errno::EINTR {}
    });
}

/// Receives what the child reports about its filter.
fn receive_listener(channel: &UnixStream) -> Result<Result<Listener, Errno>, Errno> {
    let mut word: Word = [0; 4];
    let fd = with_message(&mut word, |message| {
        let count = loop {
            // SAFETY: the message refers to memory that outlives the call.
            let count = unsafe { libc::recvmsg(channel.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC) };
            if count >= 0 || Errno::last() != Errno::EINTR {
                break Errno::result(count);
            }
        };
        if count? != size_of::<Word>() as isize {
            return Err(Errno::EIO);
        }
        // There was no descriptor left for it, and the filter is installed.
        if message.msg_flags & libc::MSG_CTRUNC != 0 {
            return Err(Errno::EMFILE);
        }
        // SAFETY: the kernel has filled the message in.
        let head = unsafe { libc::CMSG_FIRSTHDR(message) };
        if head.is_null() {
            return Ok(None);
        }
        // SAFETY: the head is not null, so it is in the room, and data follow it.
        let data = unsafe { libc::CMSG_DATA(head) };
        // SAFETY: the only message with data that the child sends has one descriptor.
        let fd = unsafe { data.cast::<c_int>().read_unaligned() };
        // SAFETY: the descriptor was made for this process by the call, and nothing else refers to it.
        Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
    })?;
    Ok(match (i32::from_ne_bytes(word), fd) {
        (0, Some(fd)) => Ok(Listener::new(fd)),
        (0, None) => Err(Errno::EIO),
        (errno, _) => Err(Errno::from_raw(errno)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::WaitStatus;

    fn words(words: &[&str]) -> Vec<CString> {
        words.iter().map(|word| CString::new(*word).unwrap()).collect()
    }

    #[test]
    fn a_program_is_found_in_the_path_and_runs() {
        let mask = SigSet::empty();
        let launched = launch(&words(&["sh", "-c", "exit 7"]), None, &mask).unwrap();
        assert!(launched.listener.is_none());
        assert_eq!(waitpid(launched.pid, None), Ok(WaitStatus::Exited(launched.pid, 7)));
        let watched = [super::super::notify::Watched { number: libc::SYS_exit_group, lengths: &[], reserves: false }];
        for filter in [None, Filter::new(&watched, 1)] {
            let failed = launch(&words(&["/no/such/program"]), filter.as_ref(), &mask);
            let Err(NotStarted::Program(error)) = failed else { panic!("{failed:?}") };
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }

    /// A program whose end is held, if that is possible here.
    fn held() -> Option<(Launched, Listener)> {
        let watched = [super::super::notify::Watched { number: libc::SYS_exit_group, lengths: &[], reserves: false }];
        let filter = Filter::new(&watched, 1)?;
        let mut launched = launch(&words(&["sh", "-c", "exit 7"]), Some(&filter), &SigSet::empty()).unwrap();
        let listener = launched.listener.take().unwrap();
        let skipped = |errno| eprintln!("SKIPPED: no seccomp notification here: {errno}");
        listener.map_err(skipped).ok().map(|listener| (launched, listener))
    }

    #[test]
    fn a_call_is_held_until_it_is_let_go() {
        let Some((launched, listener)) = held() else { return };
        let call = listener.receive().unwrap();
        assert_eq!((call.thread as i32, call.number), (launched.pid.as_raw(), libc::SYS_exit_group));
        assert_eq!(call.arguments[0], 7);
        listener.let_go(&call).unwrap();
        assert_eq!(waitpid(launched.pid, None), Ok(WaitStatus::Exited(launched.pid, 7)));
    }
}
