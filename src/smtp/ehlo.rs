//! The service extensions of a server: the lines of its reply to EHLO (RFC 5321 §4.1.1.1). Pure.

use super::reply::ServerReply;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    pub starttls: bool,
    pub pipelining: bool,
    pub chunking: bool,
    pub smtputf8: bool,
    pub eight_bit_mime: bool,
    pub size: bool,
    /// `None` or 0: no fixed limit (RFC 1870 §4).
    pub size_limit_bytes: Option<u64>,
    /// SASL mechanisms, upper case.
    pub auth: Vec<String>,
}

impl Extensions {
    pub fn from_reply(reply: &ServerReply) -> Extensions {
        let mut found = Extensions::default();
        // The first line is the server's name.
        for line in reply.lines().skip(1) {
            found.add(line);
        }
        found
    }

    fn add(&mut self, line: &str) {
        // Old servers write `AUTH=LOGIN` for `AUTH LOGIN`.
        let mut words = line.split([' ', '=', '\t']).filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else { return };
        match keyword.to_ascii_uppercase().as_str() {
            "STARTTLS" => self.starttls = true,
            "PIPELINING" => self.pipelining = true,
            "CHUNKING" => self.chunking = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "SIZE" => {
                self.size = true;
                self.size_limit_bytes = words.next().and_then(|limit| limit.parse().ok());
            }
            "AUTH" => {
                for word in words.map(str::to_ascii_uppercase) {
                    if !self.auth.contains(&word) {
                        self.auth.push(word);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::reply::ReplyParser;

    fn read(text: &str) -> Extensions {
        let (_, reply) = ReplyParser::default().push(text.as_bytes()).unwrap();
        Extensions::from_reply(&reply.unwrap())
    }

    #[test]
    fn parses_the_lines_after_the_first() {
        let offered = read(
            "250-PIPELINING\r\n250-size 1000\r\n250-AUTH PLAIN login\r\n250-AUTH=LOGIN\r\n250-x\r\n250 CHUNKING\r\n",
        );
        assert!(!offered.pipelining, "the first line is the server's name");
        assert!(offered.chunking && offered.size);
        assert_eq!(offered.size_limit_bytes, Some(1000));
        assert_eq!(offered.auth, ["PLAIN", "LOGIN"]);
        assert_eq!(read("250\r\n"), Extensions::default());
        assert_eq!(read("250-x\r\n250 SIZE\r\n").size_limit_bytes, None);
        assert_eq!(
            read("250-x\r\n250 SIZE 99999999999999999999999\r\n").size_limit_bytes,
            None
        );
    }
}
