//! The process as the kernel sees it: memory, time, files. Linux only; elsewhere nothing is said.

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers of the process, under the names that Prometheus' own clients give them.
pub(crate) struct Process {
    pub resident_bytes: u64,
    pub cpu_seconds: f64,
    pub open_files: u64,
}

/// Reads them now; what cannot be read is absent.
pub(crate) fn read() -> Option<Process> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold anything; behind it the fields are counted from the third.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = rustix::param::clock_ticks_per_second();
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    let cpu_seconds = (field(14)? + field(15)?) as f64 / ticks as f64;
    let resident_bytes = field(24)? * rustix::param::page_size() as u64;
    let open_files = std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64);
    Some(Process { resident_bytes, cpu_seconds, open_files })
}

/// Memory that is resident, now.
pub(crate) fn resident_bytes() -> Option<u64> {
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = sizes.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Seconds since 1970.
pub(crate) fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_memory_and_files() {
        let process = read().expect("a /proc");
        assert!(
            process.resident_bytes > 1 << 20 && process.resident_bytes < 1 << 36,
            "{}",
            process.resident_bytes
        );
        let resident = resident_bytes().expect("a /proc");
        assert!(resident.abs_diff(process.resident_bytes) < 64 << 20, "{resident}");
        assert!(process.open_files >= 3);
        assert!(process.cpu_seconds >= 0.0);
    }
}
