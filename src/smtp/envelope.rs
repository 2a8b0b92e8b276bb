//! The commands MAIL FROM and RCPT TO, and checks that an address cannot break out of them. Pure.

use super::ehlo::Extensions;
use super::relay::Outgoing;
use super::reply::local_reply;
use crate::domain::outcome::{Attempt, EnhancedCode, Stage};

/// Longest address. RFC 5321 §4.5.3.1.3 allows 254 bytes, and §4.5.3.1.4 a command line of 512.
const MAX_ADDRESS_BYTES: usize = 320;

/// The envelope of one message as commands, each with its CRLF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub mail_from: String,
    pub rcpt_to: String,
}

/// The commands for a message of `size_bytes`. Errors: the result of the attempt, where the server's answer is known
/// without asking.
pub fn envelope(
    message: &Outgoing,
    size_bytes: usize,
    extensions: &Extensions,
) -> Result<Envelope, Attempt> {
    if !message.return_path.is_empty() && !is_writable(&message.return_path) {
        let code = EnhancedCode(5, 1, 7);
        return Err(refused(
            Stage::MailFrom,
            501,
            code,
            "the return path is not an address",
        ));
    }
    if !is_writable(&message.recipient) {
        let code = EnhancedCode(5, 1, 3);
        return Err(refused(
            Stage::RcptTo,
            501,
            code,
            "the recipient is not an address",
        ));
    }
    let needs_utf8 = !message.return_path.is_ascii() || !message.recipient.is_ascii();
    if needs_utf8 && !extensions.smtputf8 {
        let code = EnhancedCode(5, 6, 7);
        let text = "the address needs SMTPUTF8, which the relay does not offer";
        return Err(refused(Stage::RcptTo, 553, code, text));
    }
    // 0 means no fixed limit (RFC 1870 §4).
    let limit = extensions.size_limit_bytes.filter(|limit| *limit > 0);
    if let Some(limit) = limit.filter(|limit| size_bytes as u64 > *limit) {
        let text = format!("the message has {size_bytes} bytes, the relay accepts {limit}");
        return Err(refused(Stage::MailFrom, 552, EnhancedCode(5, 3, 4), &text));
    }
    let mut mail_from = format!("MAIL FROM:<{}>", message.return_path);
    if extensions.size {
        mail_from.push_str(&format!(" SIZE={size_bytes}"));
    }
    if needs_utf8 {
        mail_from.push_str(" SMTPUTF8");
    }
    mail_from.push_str("\r\n");
    Ok(Envelope {
        mail_from,
        rcpt_to: format!("RCPT TO:<{}>\r\n", message.recipient),
    })
}

/// Whether an address has no character that ends the path, the parameter or the line.
fn is_writable(address: &str) -> bool {
    let breaks_out = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>');
    !address.is_empty() && address.len() <= MAX_ADDRESS_BYTES && !address.contains(breaks_out)
}

/// A message that is rejected here, in the server's place.
pub fn refused(stage: Stage, code: u16, enhanced: EnhancedCode, text: &str) -> Attempt {
    Attempt::Rejected {
        stage,
        reply: local_reply(code, enhanced, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::content::MessageContent;

    fn message(return_path: &str, recipient: &str) -> Outgoing {
        Outgoing {
            ticket: 1,
            return_path: return_path.into(),
            recipient: recipient.into(),
            message_id: "1@example.org".into(),
            content: MessageContent::default(),
        }
    }

    fn code(attempt: Result<Envelope, Attempt>) -> (Stage, u16, String) {
        match attempt {
            Err(Attempt::Rejected { stage, reply }) => {
                (stage, reply.code, reply.enhanced.unwrap().to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn writes_the_parameters_that_are_offered_and_needed() {
        let plain = Extensions::default();
        let built = envelope(&message("", "a@example.org"), 9, &plain).unwrap();
        assert_eq!(built.mail_from, "MAIL FROM:<>\r\n");
        assert_eq!(built.rcpt_to, "RCPT TO:<a@example.org>\r\n");
        let rich = Extensions {
            size: true,
            smtputf8: true,
            ..Extensions::default()
        };
        let built = envelope(&message("b@example.org", "\u{fc}@example.org"), 9, &rich).unwrap();
        assert_eq!(
            built.mail_from,
            "MAIL FROM:<b@example.org> SIZE=9 SMTPUTF8\r\n"
        );
    }

    #[test]
    fn an_address_cannot_become_a_command() {
        let plain = Extensions::default();
        for bad in [
            "",
            "a\r\nDATA",
            "a\nb",
            "a\0b",
            "a b@x",
            "a>b@x",
            "<a@x>",
            "a\u{85}@x",
            "a\u{2028}@x",
        ] {
            let refusal = code(envelope(&message("b@x", bad), 1, &plain));
            assert_eq!(refusal, (Stage::RcptTo, 501, "5.1.3".into()), "{bad:?}");
        }
        let refusal = code(envelope(&message("a> SIZE=1", "b@x"), 1, &plain));
        assert_eq!(refusal, (Stage::MailFrom, 501, "5.1.7".into()));
    }

    #[test]
    fn refuses_what_the_server_would_refuse() {
        let small = Extensions {
            size: true,
            size_limit_bytes: Some(100),
            ..Extensions::default()
        };
        let refusal = code(envelope(&message("b@x", "a@x"), 101, &small));
        assert_eq!(refusal, (Stage::MailFrom, 552, "5.3.4".into()));
        assert!(envelope(&message("b@x", "a@x"), 100, &small).is_ok());
        let refusal = code(envelope(&message("b@x", "\u{fc}@x"), 1, &small));
        assert_eq!(refusal, (Stage::RcptTo, 553, "5.6.7".into()));
    }
}
