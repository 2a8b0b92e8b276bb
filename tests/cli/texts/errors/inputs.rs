//! Errors of configuration, lists, campaigns and templates.

use super::{examples, failure};
use mailq::commands::Failure;
use mailq::config::ConfigError;
use mailq::domain::address::AddressError;
use mailq::recipients::{
    Cure, ForeignFormat, HeaderProblem, RecipientsError, RowError, RowProblem,
};
use mailq::render::{
    ContentError, HeaderNameProblem, MailboxProblem, Place, RenderError, RenderProblem, SlipKind,
    TemplateError, TextUse, UnknownColumn, UnknownName,
};
use mailq::smtp::UrlError;

pub fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    config(&mut texts);
    recipients(&mut texts);
    header(&mut texts);
    template(&mut texts);
    content(&mut texts);
    render(&mut texts);
    texts
}

fn config(texts: &mut Vec<String>) {
    let at = || "mailq.toml:4:8".to_string();
    examples!(texts, failure, ConfigError {
        NoFile => ConfigError::NoFile("none.toml".into()),
        Unreadable => ConfigError::Unreadable {
            path: "mailq.toml".into(),
            why: "permission denied".into(),
        },
        Unwritable => ConfigError::Unwritable {
            path: ".mailq/key".into(),
            why: "permission denied".into(),
        },
        NotOurs => ConfigError::NotOurs {
            path: "/srv/mailq.toml".into(),
            why: "`/srv/mailq.toml` belongs to `eve`, and mailq runs as `root`".into(),
        },
        OthersMayWrite => ConfigError::OthersMayWrite { path: "mailq.toml".into(), mode: 0o666 },
        NotUtf8 => ConfigError::NotUtf8("mailq.toml".into()),
        Syntax => ConfigError::Syntax {
            at: at(),
            why: "unclosed table, expected `]`".into(),
            cure: None,
        },
        UnknownKey => ConfigError::UnknownKey {
            at: at(),
            key: "rat".into(),
            section: "send".into(),
            nearest: Some("rate".into()),
            advice: None,
            page: "5 mailq.toml",
        },
        ReservedHeader => ConfigError::ReservedHeader { at: at(), name: "Reply-To".into() },
        BadValue => ConfigError::BadValue {
            at: at(),
            key: "send.rate".into(),
            value: "fast".into(),
            why: "not a rate like `\"30/min\"`, `\"500/s\"` or `\"unlimited\"`".into(),
        },
        BadKey => ConfigError::BadKey {
            at: at(),
            key: "send.burst".into(),
            why: "is a text in quotes, not a whole number from 1 to 1000000".into(),
            cure: Some("write it without quotes: `burst = 1`".into()),
        },
        BadRelay => ConfigError::BadRelay { at: at(), why: UrlError::Password },
        MissingKey => ConfigError::MissingKey {
            at: "spring.toml:1:1".into(),
            key: "from",
            example: "from = \"Me <me@example.com>\"".into(),
        },
        TwoSecrets => ConfigError::TwoSecrets {
            at: at(),
            given: "password_env",
            also: "password_file",
        },
        NoPassword => ConfigError::NoPassword {
            relay: "smtp://me@smtp.example.com:587".into(),
            why: "variable `SMTP_PASS` is not set".into(),
        },
        NoSecret => ConfigError::NoSecret {
            name: "sasl.password",
            why: "variable `KAFKA_PASSWORD` is not set".into(),
        },
        SecretOnCommandLine => ConfigError::SecretOnCommandLine("sasl.password".into()),
        BadProperty => ConfigError::BadProperty("linger.ms".into()),
        NoKafka => ConfigError::NoKafka("sqlite:.mailq/queue.db".into()),
        NoKey => ConfigError::NoKey(".mailq/key".into()),
        BadKeyFile => ConfigError::BadKeyFile {
            path: ".mailq/key".into(),
            why: "12 bytes that are neither 32 raw ones nor 64 hexadecimal digits".into(),
        },
    });
}

fn row(what: RowProblem) -> RowError {
    RowError {
        file: "spring.csv".into(),
        line: 41_803,
        cell: Some(("email".into(), "anna@@example.org".into())),
        what,
    }
}

fn recipients(texts: &mut Vec<String>) {
    let path = || "spring.csv".to_string();
    let what = || "permission denied".to_string();
    examples!(texts, failure, RecipientsError {
        Unreadable => RecipientsError::Unreadable { path: path(), what: what() },
        Unwritable => RecipientsError::Unwritable { path: path(), what: what() },
        Empty => RecipientsError::Empty { path: path() },
        Header => RecipientsError::Header {
            path: path(),
            line: 1,
            problem: HeaderProblem::Duplicate { name: "name".into() },
        },
        NoEmailColumn => RecipientsError::NoEmailColumn {
            path: path(),
            line: 1,
            wanted: "email".into(),
            columns: vec!["e-mail".into(), "name".into()],
            nearest: Some("e-mail".into()),
        },
        BadRows => RecipientsError::BadRows {
            first: vec![row(RowProblem::Address(AddressError::TwoAts))],
            count: 3,
        },
        Nobody => RecipientsError::Nobody { path: path() },
        GroupEncoding => RecipientsError::GroupEncoding { path: path(), encoding: "gb18030".into() },
        Uncomputed => RecipientsError::Uncomputed {
            path: "spring.xlsx".into(),
            sheet: "List".into(),
            cell: "A2".into(),
            count: 3,
        },
        ManyGroups => RecipientsError::ManyGroups { path: path() },
        Encoding => RecipientsError::Encoding {
            path: path(),
            line: 3,
            sample: "Jörg".into(),
            guess: Some("windows-1252".into()),
        },
        Foreign => RecipientsError::Foreign {
            path: path(),
            format: ForeignFormat { name: "a PDF", cure: Cure::Export },
        },
        Workbook => RecipientsError::Workbook { path: path(), what: what() },
        NoSheet => RecipientsError::NoSheet {
            path: path(),
            wanted: "Customers".into(),
            sheets: vec!["Sheet1".into(), "Sheet2".into()],
        },
        EmptySheet => RecipientsError::EmptySheet { path: path(), sheet: "Sheet1".into() },
        Changed => RecipientsError::Changed { path: path() },
        Unfit => RecipientsError::Unfit {
            what: "templates/spring.html:12:9: `vip` is text, and every text but an empty one is true: `no` of line 3 too"
                .into(),
            hint: "give it a type in the campaign file, `[columns]` with `vip = \"boolean\"`".into(),
        },
    });
}

fn header(texts: &mut Vec<String>) {
    let failure = |problem| {
        let (path, line) = ("spring.csv".into(), 1);
        failure(RecipientsError::Header {
            path,
            line,
            problem,
        })
    };
    examples!(texts, failure, HeaderProblem {
        Title => HeaderProblem::Title { value: "Customers 2026".into(), header_line: 3 },
        Duplicate => HeaderProblem::Duplicate { name: "name".into() },
        Missing => HeaderProblem::Missing { value: "anna@example.org".into() },
        Control => HeaderProblem::Control { number: 2, shown: "a line break".into() },
        NotUtf8 => HeaderProblem::NotUtf8 { number: 2 },
        Broken => HeaderProblem::Broken(RowProblem::OpenQuote),
    });
}

fn place() -> Place {
    Place {
        file: "templates/spring.html".into(),
        line: 12,
        column: 9,
    }
}

fn template(texts: &mut Vec<String>) {
    let name = || "footer.html".to_string();
    examples!(texts, failure, TemplateError {
        Unreadable => TemplateError::Unreadable {
            file: "templates/spring.html".into(),
            what: "not valid UTF-8".into(),
        },
        Excess => TemplateError::Excess {
            place: place(),
            what: "more than 1000 `elif` in one template".into(),
        },
        HiddenName => TemplateError::HiddenName {
            place: place(),
            name: "now".into(),
            recipients: "spring.csv".into(),
            hidden: "the function",
        },
        RowsColumn => TemplateError::RowsColumn {
            origin: "campaigns/spring.toml".into(),
            recipients: "spring.csv".into(),
        },
        Outside => TemplateError::Outside {
            wanted_by: "templates/spring.html:1:12".into(),
            name: "../secret".into(),
        },
        Missing => TemplateError::Missing {
            wanted_by: "templates/spring.html:1:12".into(),
            name: name(),
            directory: "templates".into(),
        },
        Syntax => TemplateError::Syntax { place: place(), what: "unexpected end of input".into() },
        TextUsed => TemplateError::TextUsed {
            place: place(),
            column: "count".into(),
            kind: "text",
            used: TextUse::Compared(">".into(), "a number"),
        },
        NoTypedColumn => TemplateError::NoTypedColumn {
            origin: "campaigns/spring.toml".into(),
            name: "cuont".into(),
            recipients: "spring.csv".into(),
            columns: vec!["email".into(), "count".into()],
        },
        UnknownName => TemplateError::UnknownName(Box::new(UnknownName {
            place: place(),
            what: "filter",
            name: "strtime".into(),
            nearest: Some("strftime"),
            known: vec!["date", "strftime"],
        })),
        Slip => TemplateError::Slip {
            place: place(),
            what: SlipKind::Name("First Name".into()),
        },
        UnknownColumn => TemplateError::UnknownColumn(Box::new(UnknownColumn {
            place: place(),
            name: "first_name".into(),
            recipients: "spring.csv".into(),
            columns: vec!["email".into(), "name".into()],
            nearest: Some("name".into()),
        })),
        NoAttribute => TemplateError::NoAttribute {
            place: place(),
            column: "name".into(),
            attribute: "first".into(),
        },
    });
}

fn content(texts: &mut Vec<String>) {
    let origin = || "campaigns/spring.toml".to_string();
    let mailbox = |what| ContentError::Mailbox {
        origin: origin(),
        key: "from",
        value: "Acme <news@acme.example".into(),
        what,
    };
    let header = |name: &str, what| ContentError::Header {
        origin: origin(),
        name: name.into(),
        what,
    };
    examples!(texts, failure, ContentError {
        Mailbox => mailbox(MailboxProblem::Syntax),
        NoReturnPath => ContentError::NoReturnPath { origin: origin() },
        NoBody => ContentError::NoBody { origin: origin() },
        Header => header("Message-ID", HeaderNameProblem::Reserved),
        Template => ContentError::Template(TemplateError::Syntax {
            place: place(),
            what: "unexpected end of input".into(),
        }),
    });
    let of_mailbox = |what| failure(mailbox(what));
    examples!(texts, of_mailbox, MailboxProblem {
        Control => MailboxProblem::Control,
        Syntax => MailboxProblem::Syntax,
        LongName => MailboxProblem::LongName { bytes: 300 },
        NotAscii => MailboxProblem::NotAscii,
        Address => MailboxProblem::Address(AddressError::NoAt),
    });
    let of_header = |what| failure(header("X Campaign", what));
    examples!(texts, of_header, HeaderNameProblem {
        Syntax => HeaderNameProblem::Syntax,
        Reserved => HeaderNameProblem::Reserved,
        Duplicate => HeaderNameProblem::Duplicate,
    });
}

fn render(texts: &mut Vec<String>) {
    let failure = |what| {
        failure(Failure::from(RenderError {
            at: "campaigns/spring.toml: subject".into(),
            recipient_line: 41_803,
            what,
        }))
    };
    examples!(texts, failure, RenderProblem {
        Template => RenderProblem::Template("undefined value".into()),
        Control => RenderProblem::Control,
        NotAscii => RenderProblem::NotAscii,
        LongWord => RenderProblem::LongWord { bytes: 1_200 },
        LongHeader => RenderProblem::LongHeader { bytes: 120_000, limit: 100_000 },
        TooLarge => RenderProblem::TooLarge { bytes: 60_000_000, limit: 50_000_000 },
        MessageId => RenderProblem::MessageId("a b".into()),
        Mailbox => RenderProblem::Mailbox {
            value: "berg@@verein.example".into(),
            what: MailboxProblem::Address(AddressError::TwoAts),
        },
    });
}
