//! Names of workers in commits, events and messages: printable ASCII without the separators of a commit string.

/// A longer host name is cut off.
const MAX_HOST_CHARS: usize = 48;

/// `HOST/PROCESS/RANDOM`. The random number tells apart processes that had the same process id one after the other.
pub fn of_process(host: &str, process: u32, random: u16) -> String {
    let host: String = host.chars().take(MAX_HOST_CHARS).collect();
    printable(&format!("{host}/{process}/{random:04x}"))
}

/// `HOST/INSTANCE`. A restarted instance keeps its name.
pub fn of_instance(host: &str, instance: &str) -> String {
    let host: String = host.chars().take(MAX_HOST_CHARS).collect();
    printable(&format!("{host}/{instance}"))
}

/// The host, perhaps cut off.
pub fn host_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(host, _)| host)
}

/// Host and process id. `None` if the name is that of an instance, its host was cut off, or mailq did not write it.
pub fn process_of(name: &str) -> Option<(&str, u32)> {
    let mut parts = name.split('/');
    let (host, process, _random) = (parts.next()?, parts.next()?, parts.next()?);
    let process = process.parse().ok()?;
    let is_whole = host.len() < MAX_HOST_CHARS && parts.next().is_none();
    is_whole.then_some((host, process))
}

fn printable(text: &str) -> String {
    let is_kept = |c: char| c.is_ascii_graphic() && !matches!(c, ';' | ',');
    let kept = |c| if is_kept(c) { c } else { '_' };
    text.chars().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_and_contain_the_process() {
        let name = of_process("mail,er é", 42, 0xbeef);
        assert_eq!(name, "mail_er__/42/beef");
        assert_eq!(process_of(&name), Some(("mail_er__", 42)));
        assert_eq!(host_of(&name), "mail_er__");
        assert_eq!(host_of("mailer"), "mailer");
        let long = of_process(&"h".repeat(100), 1, 0);
        assert_eq!(long.len(), MAX_HOST_CHARS + "/1/0000".len());
        assert_eq!(process_of(&long), None);
        assert_eq!(of_instance("mailer", "a;b"), "mailer/a_b");
        for other in [
            "mailer/a_b",
            "mailer/42",
            "mailer/42/x/y",
            "mailer/x/beef",
            "",
        ] {
            assert_eq!(process_of(other), None, "{other}");
        }
    }
}
