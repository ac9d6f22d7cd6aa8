//! How much memory this process may use.

use std::fs::read_to_string;

/// Where the limit of a control group is told, in versions 2 and 1; "max" is none.
const GROUP_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Bytes that the container may use, or else the machine has; none where nobody says.
pub fn available() -> Option<usize> {
    let group = GROUP_LIMITS.iter().filter_map(|path| read_to_string(path).ok()?.trim().parse().ok());
    group.chain(read_to_string("/proc/meminfo").ok().and_then(|text| total(&text))).min()
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn total(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says() {
        assert_eq!(total("MemTotal:       16384 kB\nMemFree: 3 kB\n"), Some(16 << 20));
        assert_eq!(total("MemFree: 3 kB\n"), None);
        assert!(available().unwrap() > 1 << 20);
    }
}
