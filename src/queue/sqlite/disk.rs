//! How full the file system with the queue is. A full one stops every commit.

use crate::queue::metric::{DISK_USED_RATIO, Metric};
use std::path::Path;

/// As `df` counts: of what may be used without being root. `None`: the system does not say, as for some network drives.
pub fn used_ratio(path: &Path) -> Option<Metric> {
    let state = rustix::fs::statvfs(path).ok()?;
    let used = state.f_blocks.saturating_sub(state.f_bfree);
    let all = used + state.f_bavail;
    (all > 0).then(|| Metric {
        of: &DISK_USED_RATIO,
        labels: Vec::new(),
        value: used as f64 / all as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_between_empty_and_full() {
        let value = used_ratio(Path::new("/")).map(|metric| metric.value);
        assert!(value.is_some_and(|value| (0.0..=1.0).contains(&value)));
        assert_eq!(used_ratio(Path::new("/does/not/exist")), None);
    }
}
