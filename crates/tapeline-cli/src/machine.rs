//! What the machine has to give: its memory, or what the control group of this process may have of it where that is less,
//! and the files that the process may have open. It decides on no bound.

use std::path::Path;

/// Files that a hub needs beside its connections.
const OWN_FILES: usize = 64;
/// Where nobody says how much memory there is.
const SOME_MEMORY: usize = 4 << 30;

/// Each connection is a file; the soft limit is often far below the hard one. Answers how many may be connected.
pub(crate) fn raise_file_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    if let Err(error) = &raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let files = if raised.is_ok() { limit.maximum } else { limit.current };
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    files.saturating_sub(OWN_FILES).max(1)
}

/// The memory that this process may have.
pub(crate) fn memory_bytes() -> usize {
    memory_below(Path::new("/"))
}

fn memory_below(root: &Path) -> usize {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let machine = of_machine(&read("proc/meminfo")).unwrap_or(SOME_MEMORY);
    let groups = read("proc/self/cgroup");
    groups.lines().flat_map(|line| limits_of(root, line)).fold(machine, usize::min)
}

fn of_machine(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1_024)
}

/// The limits of one control group and of all that it is in. A line is `0::/path` in the second version, and in the first
/// `4:memory:/path`. In a container the path is often that of the outside, and the mount is the group itself.
fn limits_of(root: &Path, line: &str) -> Vec<usize> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        controllers if controllers.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    let texts =
        groups.filter_map(|group| std::fs::read_to_string(root.join(mount).join(group).join(file)).ok());
    // `max` is no number, and none.
    texts.filter_map(|text| text.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The memory on a machine that has these files.
    fn memory(name: &str, files: &[(&str, &str)]) -> usize {
        let root = tapeline_faults::temporary(name);
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("a file is in a directory"))
                .expect("it can be made");
            std::fs::write(path, text).expect("it can be written");
        }
        let bytes = memory_below(&root);
        let _ = std::fs::remove_dir_all(&root);
        bytes
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:        8000 kB\nMemFree:         1 kB\n");

    #[test]
    fn without_a_group_it_is_the_machines() {
        assert_eq!(memory("bare", &[MACHINE]), 8_000 << 10);
        assert_eq!(memory("nothing", &[]), 4 << 30);
    }

    #[test]
    fn the_smallest_limit_of_a_group_and_its_parents_counts() {
        let group = ("proc/self/cgroup", "0::/a.slice/b.service\n");
        let none = ("sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
        let parent = ("sys/fs/cgroup/a.slice/memory.max", "4096000\n");
        assert_eq!(memory("second", &[MACHINE, group, none, parent]), 4_096_000);
        let inside = ("sys/fs/cgroup/memory.max", "1000000\n");
        assert_eq!(memory("container", &[MACHINE, group, inside]), 1_000_000);
        let huge = ("sys/fs/cgroup/memory.max", "99999999999\n");
        assert_eq!(memory("huge", &[MACHINE, group, huge]), 8_000 << 10);
    }

    #[test]
    fn the_first_version_of_groups_is_read_too() {
        let group = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/1\n");
        let limit = ("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "2000000\n");
        assert_eq!(memory("first", &[MACHINE, group, limit]), 2_000_000);
        let outside = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(memory("unlimited", &[MACHINE, group, outside]), 8_000 << 10);
    }
}
