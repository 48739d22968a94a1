//! The memory of this process that is resident, as Linux tells it; elsewhere nothing is said.

/// Bytes of a MB, here and in every threshold: a million.
pub const MB: f64 = 1e6;

/// Resident now, in bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(parse("Name:\tx\nVmRSS:\t  1000 kB\nThreads:\t1\n"), Some(1_024_000));
        assert_eq!(parse("Name:\tx\n"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
