//! The name in EHLO (RFC 5321 §4.1.4): the one that was given, else the host's full name, else the address of the
//! connection as a literal. Never a bare word such as `laptop`, because many servers refuse that.

use std::net::IpAddr;

/// Whether a name is a domain or an address literal (RFC 5321 §4.1.3). It cannot contain a second command.
pub fn is_valid(name: &str) -> bool {
    let plausible = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    !name.is_empty() && name.len() <= 253 && name.bytes().all(plausible)
}

/// The host's full name, if it has one.
pub fn of_host() -> Option<String> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    if is_full(&name) {
        return Some(name.into_owned());
    }
    let hosts = std::fs::read_to_string("/etc/hosts").ok()?;
    full_name(&hosts, &name)
}

/// The address that the connection comes from (RFC 5321 §4.1.3).
pub fn literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// The full name on the line of a host's short name, as `hostname -f` finds it.
fn full_name(hosts: &str, short: &str) -> Option<String> {
    let lines = hosts.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        Some(line.split_whitespace().skip(1).collect::<Vec<_>>())
            .filter(|names| names.contains(&short))
    });
    let mut names = lines.flatten();
    names.find(|name| is_full(name)).map(str::to_string)
}

fn is_full(name: &str) -> bool {
    let is_local = name.split('.').next() == Some("localhost");
    name.contains('.') && !is_local && is_valid(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ehlo_name_is_one_word() {
        for good in ["localhost", "mx.example.com", "[127.0.0.1]", "[IPv6:::1]"] {
            assert!(is_valid(good));
        }
        for bad in ["", "a b", "a\r\nMAIL", "b\u{fc}cher"] {
            assert!(!is_valid(bad));
        }
    }

    #[test]
    fn the_full_name_stands_on_the_line_of_the_short_one() {
        let hosts = "127.0.0.1 localhost localhost.localdomain\n# 127.0.1.1 old.example.net vm\n\
            127.0.1.1\tvm.example.org vm # this host\n::1 ip6-localhost\n";
        assert_eq!(full_name(hosts, "vm"), Some("vm.example.org".to_string()));
        assert_eq!(full_name(hosts, "old"), None);
        assert_eq!(full_name(hosts, "localhost"), None);
    }

    #[test]
    fn an_address_stands_in_brackets() {
        assert_eq!(literal([192, 0, 2, 7].into()), "[192.0.2.7]");
        assert_eq!(
            literal(IpAddr::V6("2001:db8::1".parse().unwrap())),
            "[IPv6:2001:db8::1]"
        );
    }
}
