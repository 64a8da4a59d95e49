//! A program that a test runs beside it, on loopback.

use crate::until;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// The state of an open connection in `/proc/net/tcp`; proc(5).
const ESTABLISHED: &str = "01";

/// A running program; killed when dropped.
pub(super) struct Program {
    child: Child,
    name: &'static str,
    log: PathBuf,
    leftovers: Vec<String>,
}

impl Program {
    /// Starts `command` in `dir`, with its output in a file there.
    pub(super) fn start(name: &'static str, mut command: Command, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let child = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{name} does not start: {command:?}"))?;
        Ok(Self {
            child,
            name,
            log,
            leftovers: Vec::new(),
        })
    }

    /// Removes a file when the program has ended, because it does not do so itself.
    pub(super) fn leaves(&mut self, file: String) {
        self.leftovers.push(file);
    }

    /// What stands between `before` and the end of the line in its output, once it does.
    pub(super) async fn announced(&mut self, before: &str) -> Result<String> {
        self.awaited(|log| {
            let (_, after) = log.split_once(before)?;
            let (found, _) = after.split_once('\n')?;
            Some(found.trim().to_owned())
        })
        .await
    }

    /// Waits until `ready` returns a value, given the output so far.
    pub(super) async fn awaited<T>(&mut self, ready: impl Fn(&str) -> Option<T>) -> Result<T> {
        let Self {
            child, name, log, ..
        } = self;
        until(&format!("{name} listens"), async || {
            let text = fs::read_to_string(&*log)?;
            if let Some(value) = ready(&text) {
                return Ok(Some(value));
            }
            match child.try_wait()? {
                Some(status) => bail!("{name} ended with {status}:\n{text}"),
                None => Ok(None),
            }
        })
        .await
    }

    pub(super) fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    pub(super) fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.context("process id")?, signal)?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for file in &self.leftovers {
            let _ = fs::remove_file(file);
        }
    }
}

/// A loopback address of this process alone, for programs that cannot choose a free port by
/// themselves: of 24 bits, 22 are the process's id.
pub(super) fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) % 4;
    let host = (std::process::id() << 2 | count) & 0x00ff_ffff;
    Ipv4Addr::from_bits(127 << 24 | host)
}

/// Ports below those that the system gives to clients, for a program that names files by its ports.
pub(super) fn own_ports() -> [u16; 4] {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let place = (std::process::id() * 4 + count) % 3_000;
    let first = 10_000 + u16::try_from(place * 4).unwrap_or_default();
    [first, first + 1, first + 2, first + 3]
}

/// Whether the server at the URL `address` has bytes that it has not read, as Linux lists them for
/// each connection.
pub(super) fn has_unread_bytes(address: &str) -> Result<bool> {
    let address = address.rsplit('/').next().context("an address")?;
    let address: std::net::SocketAddrV4 = address.parse()?;
    let ip = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{ip:08X}:{:04X}", address.port());
    let connections = fs::read_to_string("/proc/net/tcp")?;
    Ok(connections.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, address, _, state, queues, ..] = fields[..] else {
            return false;
        };
        let unread = queues.split(':').nth(1);
        address == local && state == ESTABLISHED && unread.is_some_and(|it| it != "00000000")
    }))
}
