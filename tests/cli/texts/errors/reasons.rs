//! Reasons that are part of an error, and findings of `check` about rows.

use super::examples;
use mailq::commands::check::finding::Finding;
use mailq::domain::address::AddressError;
use mailq::protocol::{BaseId, TextError};
use mailq::queue::chunk::ChunkError;
use mailq::recipients::{RowError, RowProblem};
use mailq::smtp::{OpenError, UrlError};
use mailq::suppression::{ImportError, RecordError};
use std::fmt::Display;

pub fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    rows(&mut texts);
    addresses(&mut texts);
    relays(&mut texts);
    lists(&mut texts);
    records(&mut texts);
    texts
}

fn shown(error: impl Display) -> String {
    format!("{error}\n")
}

fn rows(texts: &mut Vec<String>) {
    let finding = |what| {
        let row = RowError {
            file: "spring.csv".into(),
            line: 41_803,
            cell: None,
            what,
        };
        shown(Finding::of_row(&row))
    };
    examples!(texts, finding, RowProblem {
        Address => RowProblem::Address(AddressError::NoAt),
        Several => RowProblem::Several { count: 2 },
        Ragged => RowProblem::Ragged { found: 3, expected: 2 },
        Unnamed => RowProblem::Unnamed { number: 3, value: "x".into() },
        NotUtf8 => RowProblem::NotUtf8,
        Control => RowProblem::Control { shown: "a NUL byte".into() },
        ControlInHeader => RowProblem::ControlInHeader { shown: "a line break".into() },
        CellTooLong => RowProblem::CellTooLong,
        RowTooLong => RowProblem::RowTooLong,
        OpenQuote => RowProblem::OpenQuote,
        TextAfterQuote => RowProblem::TextAfterQuote,
        QuoteInside => RowProblem::QuoteInside,
        SpaceBeforeQuote => RowProblem::SpaceBeforeQuote,
        HeaderAgain => RowProblem::HeaderAgain,
        GroupTooLarge => RowProblem::GroupTooLarge,
        Unfit => RowProblem::Unfit("not a whole number like `12`".into()),
    });
}

fn addresses(texts: &mut Vec<String>) {
    examples!(texts, shown, AddressError {
        Empty => AddressError::Empty,
        NoAt => AddressError::NoAt,
        OtherAt => AddressError::OtherAt('＠'),
        TwoAts => AddressError::TwoAts,
        NoLocal => AddressError::NoLocal,
        NoDomain => AddressError::NoDomain,
        LocalTooLong => AddressError::LocalTooLong { bytes: 70 },
        DomainTooLong => AddressError::DomainTooLong { bytes: 300 },
        LabelTooLong => AddressError::LabelTooLong { label: "example".into() },
        TooLong => AddressError::TooLong { bytes: 300 },
        LocalDots => AddressError::LocalDots,
        LocalCharacter => AddressError::LocalCharacter { shown: "a space".into() },
        LocalQuote => AddressError::LocalQuote,
        DomainDots => AddressError::DomainDots,
        DomainCharacter => AddressError::DomainCharacter { shown: "`_`".into() },
        LabelHyphen => AddressError::LabelHyphen { label: "-example".into() },
        IpLiteral => AddressError::IpLiteral,
        Dotless => AddressError::Dotless,
        Idna => AddressError::Idna,
    });
}

fn relays(texts: &mut Vec<String>) {
    examples!(texts, shown, UrlError {
        Scheme => UrlError::Scheme { meant: Some("smtp://smtp.example.com:587".into()) },
        Password => UrlError::Password,
        Host => UrlError::Host("a_b".into()),
        Port => UrlError::Port,
        Setting => UrlError::Setting("ssl".into()),
        NoSetting => UrlError::NoSetting,
        Tls => UrlError::Tls,
        ImplicitTls => UrlError::ImplicitTls("tls=none".into()),
        User => UrlError::User,
        NoPath => UrlError::NoPath,
        Path => UrlError::Path,
    });
    examples!(texts, shown, OpenError {
        NoPassword => OpenError::NoPassword { user: "me@example.com".into() },
        NoUser => OpenError::NoUser,
        HeloName => OpenError::HeloName("my host".into()),
        CaFile => OpenError::CaFile { path: "ca.pem".into(), why: "no certificate in it".into() },
        NoRoots => OpenError::NoRoots { why: "none found".into() },
        Tls => OpenError::Tls("no cipher suites".into()),
        Outbox => OpenError::Outbox {
            path: "outbox".into(),
            source: std::io::Error::other("permission denied"),
        },
    });
}

fn lists(texts: &mut Vec<String>) {
    examples!(texts, shown, ImportError {
        NotAnAddress => ImportError::NotAnAddress { line: 3, found: "nobody".into() },
        NotUtf8 => ImportError::NotUtf8 { line: 3 },
        TooLong => ImportError::TooLong { line: 3 },
        Unreadable => ImportError::Unreadable {
            line: 3,
            error: std::io::Error::other("input/output error"),
        },
    });
}

fn records(texts: &mut Vec<String>) {
    examples!(texts, shown, RecordError {
        NoKey => RecordError::NoKey,
        BadKey => RecordError::BadKey("`x` is not a suppression key of 32 hexadecimal digits".into()),
    });
    examples!(texts, shown, TextError {
        Version => TextError::Version("mq9".into()),
        Damaged => TextError::Damaged { field: 2, text: "n5x".into() },
        NoBase => TextError::NoBase(BaseId { epoch: 7, number: 3, digest: 0x1a2b }),
    });
    examples!(texts, shown, ChunkError {
        Empty => ChunkError::Empty,
        TooManyRows => ChunkError::TooManyRows(501),
        RowOrder => ChunkError::RowOrder { before: 9, row: 8 },
        StoredTooLarge => ChunkError::StoredTooLarge { row: 7, bytes: 9_000_000 },
        CompressedTooLarge => ChunkError::CompressedTooLarge { row: 7, bytes: 600_000 },
        NoHeader => ChunkError::NoHeader("rows"),
        BadHeader => ChunkError::BadHeader { name: "rows", value: "x".into() },
        UnknownVersion => ChunkError::UnknownVersion("9".into()),
        NoPayload => ChunkError::NoPayload,
        Sum => ChunkError::Sum,
        Gzip => ChunkError::Gzip("corrupt deflate stream".into()),
        BadMessage => ChunkError::BadMessage { position: 3, what: "shorter than its line says".into() },
        Disagrees => ChunkError::Disagrees("header `count` is not the number of messages"),
    });
}
