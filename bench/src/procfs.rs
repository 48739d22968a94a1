//! What the kernel says about a server process and about the listen queues.

use std::fs;

use anyhow::{Context, Result};

/// Processor seconds, user and system, of all threads of a process.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the server's process is gone")?;
    let (_, after) = stat.rsplit_once(')').context("/proc/PID/stat has no command")?;
    // After the command: state is field 3 of the file, utime is 14, stime 15.
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(float(ticks) / float(rustix::param::clock_ticks_per_second()))
}

/// Resident memory of a process in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// All resident pages.
    pub(crate) rss_kib: u64,
    /// Those that belong to no file: heap and stacks.
    pub(crate) anon_kib: u64,
}

/// Reads a process's resident memory.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server's process is gone")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.with_context(|| format!("/proc/PID/status lacks {name}"))
    };
    Ok(Memory { rss_kib: field("VmRSS:")?, anon_kib: field("RssAnon:")? })
}

/// `ListenOverflows + ListenDrops`: connections that a full accept queue turned away.
pub(crate) fn listen_drops() -> Result<u64> {
    let netstat = fs::read_to_string("/proc/net/netstat").context("no /proc/net/netstat")?;
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let pairs = names.split_whitespace().zip(values.split_whitespace());
    let listen = pairs.filter(|(name, _)| matches!(*name, "ListenOverflows" | "ListenDrops"));
    Ok(listen.filter_map(|(_, value)| value.parse::<u64>().ok()).sum())
}

/// A count as a float; the counts here stay far below 2^52.
#[expect(clippy::as_conversions, reason = "there is no From<u64> for f64")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_own_process_is_readable() {
        let pid = std::process::id();
        assert!(super::cpu_seconds(pid).unwrap() >= 0.0);
        let memory = super::memory(pid).unwrap();
        assert!(memory.rss_kib >= memory.anon_kib && memory.anon_kib > 0);
        super::listen_drops().unwrap();
    }
}
