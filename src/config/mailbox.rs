//! `Name <address>`, as a campaign file has it, and templates for it.

use super::schema::{Limits, Value, ValueError};
use crate::domain::mailbox::Mailbox;
use crate::render::is_template;

/// `Name <address>`, or a template that renders to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxTemplate(pub String);

impl Value for Mailbox {
    fn expects(_: &Limits) -> String {
        "an address like `me@example.com` or `Name <me@example.com>`".into()
    }

    fn parse(text: &str, limits: &Limits) -> Result<Mailbox, ValueError> {
        let text = String::parse(text, limits)?;
        let wrong = |_| ValueError::Form(format!("not {}", Self::expects(limits)));
        Mailbox::parse(&text).map_err(wrong)
    }
}

impl Value for MailboxTemplate {
    fn expects(limits: &Limits) -> String {
        <Mailbox as Value>::expects(limits)
    }

    fn parse(text: &str, limits: &Limits) -> Result<MailboxTemplate, ValueError> {
        let text = String::parse(text, limits)?;
        if !is_template(&text) {
            <Mailbox as Value>::parse(&text, limits)?;
        }
        Ok(MailboxTemplate(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_templates_may_be_no_mailboxes_yet() {
        for (text, is_taken) in [
            ("{{ owner }}", true),
            ("{{ name }} <news@acme.example>", true),
            (
                "{% if a %}a@b.example{% else %}c@d.example{% endif %}",
                true,
            ),
            ("Acme, Inc. <a@b.example>", true),
            ("{ owner }", false),
            ("a@b.example, c@d.example", false),
            ("", false),
        ] {
            let found = MailboxTemplate::parse(text, &Limits::None);
            assert_eq!(found.is_ok(), is_taken, "{text}");
            if is_taken {
                assert_eq!(found, Ok(MailboxTemplate(text.to_string())));
            }
        }
    }
}
