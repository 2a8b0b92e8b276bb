//! What a worker is called, in commits, events and messages: printable ASCII that ends no part of a commit.

/// Of a host's name so much is kept.
const HOST_CHARS: usize = 48;

/// `HOST/PROCESS/DRAW`: nobody else's, also not that of an earlier process with this number.
pub fn of_process(host: &str, process: u32, draw: u16) -> String {
    let host: String = host.chars().take(HOST_CHARS).collect();
    printable(&format!("{host}/{process}/{draw:04x}"))
}

/// `HOST/INSTANCE`: the next process of this instance has it too.
pub fn of_instance(host: &str, instance: &str) -> String {
    let host: String = host.chars().take(HOST_CHARS).collect();
    printable(&format!("{host}/{instance}"))
}

/// Host and process; `None`: an instance, a host whose name was cut, or no name of ours.
pub fn process_of(name: &str) -> Option<(&str, u32)> {
    let mut parts = name.split('/');
    let (host, process, _draw) = (parts.next()?, parts.next()?, parts.next()?);
    let process = process.parse().ok()?;
    let is_whole = host.len() < HOST_CHARS && parts.next().is_none();
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
    fn names_are_printable_and_say_which_process() {
        let name = of_process("mail,er é", 42, 0xbeef);
        assert_eq!(name, "mail_er__/42/beef");
        assert_eq!(process_of(&name), Some(("mail_er__", 42)));
        let long = of_process(&"h".repeat(100), 1, 0);
        assert_eq!(long.len(), HOST_CHARS + "/1/0000".len());
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
