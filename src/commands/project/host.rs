//! Names of this host and of its workers.

use crate::domain::worker_name;

/// Unique among running workers, unless the operator names the instance.
pub fn worker_name(instance: Option<&str>) -> String {
    let host = host_name();
    match instance {
        Some(id) => worker_name::of_instance(&host, id),
        None => worker_name::of_process(&host, std::process::id(), fastrand::u16(..)),
    }
}

pub fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
