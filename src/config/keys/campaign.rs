//! The keys of a campaign file.

use super::{Key, Kind, Schema, Shape, UNSET};

pub const CAMPAIGN: Schema = Schema {
    page: "5 mailq.toml",
    sections: &[(
        "headers",
        Shape::Free,
        "Header fields to add to each message. Values may use the columns: `\"X-City\" = \"{{ city }}\"`.",
    )],
    keys: &[
        Key {
            name: "name",
            example: "spring-sale",
            doc: "The campaign's name: letters, digits, `.`, `_` and `-`. Default: the file's stem.",
            ..UNSET
        },
        Key {
            name: "from",
            example: "Acme <news@acme.example>",
            doc: "Who it is from: `Name <address>` or an address. Required.",
            ..UNSET
        },
        Key {
            name: "reply_to",
            example: "help@acme.example",
            doc: "Where answers go. Default: to `from`.",
            ..UNSET
        },
        Key {
            name: "return_path",
            example: "bounces@mail.acme.example",
            doc: "MAIL FROM, the address that bounces go to. Default: the address of `from`.",
            ..UNSET
        },
        Key {
            name: "subject",
            example: "Spring sale, {{ name }}",
            doc: "The subject; may use the columns. Required.",
            ..UNSET
        },
        Key {
            name: "html",
            kind: Kind::Path,
            example: "spring-sale.html",
            doc: "The HTML template, found in `templates/`. One of `html` and `text` at least.",
            ..UNSET
        },
        Key {
            name: "text",
            kind: Kind::Path,
            example: "spring-sale.txt",
            doc: "The plain text template, found in `templates/`.",
            ..UNSET
        },
        Key {
            name: "recipients",
            kind: Kind::Path,
            example: "spring-sale.csv",
            doc: "The recipients CSV, relative to the campaign file. Default: the same stem with `.csv`.",
            ..UNSET
        },
        Key {
            name: "email_column",
            default: Some("email"),
            example: "email",
            doc: "The column that holds the address.",
            ..UNSET
        },
        Key {
            name: "expires",
            kind: Kind::Span,
            example: "24h",
            doc: "What has not been delivered this long after the start is not sent any more. Default: never.",
            ..UNSET
        },
        Key {
            name: "once_per",
            kind: Kind::Choice(&["run", "day", "week", "month"]),
            default: Some("run"),
            example: "day",
            doc: "What `mailq run` sends at most once per: a `run` of the same inputs, or a `day`, `week` or `month` in the host's time zone.",
            ..UNSET
        },
        Key {
            name: "in_doubt",
            kind: Kind::Choice(&["resend", "hold"]),
            default: Some("resend"),
            example: "hold",
            doc: "What happens to a message that the relay may or may not have taken: sent again under the same Message-ID, or held for a person.",
            ..UNSET
        },
    ],
};
