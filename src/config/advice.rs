//! What to do about a key that people try and that the file does not have: where it belongs, or that there is no such
//! thing and what to do instead.

use super::schema::Schema;

/// Names that people try, and the advice. They are compared without `_` and `-`.
const ADVICE: [(&[&str], &str); 26] = [
    (
        &[
            "attachment",
            "attachments",
            "attach",
            "attachfile",
            "file",
            "files",
            "pdf",
            "image",
            "images",
            "inline",
            "embed",
            "embedded",
            "cid",
        ],
        "mailq sends no attachments and no embedded images: put the file on a web server and link to it; a column \
         gives each row a link of its own: `{{ url }}`",
    ),
    (
        &["cc", "bcc"],
        "mailq has no copies: each mail goes to one address and has one outcome; add the address as a row of the list",
    ),
    (
        &["to", "recipient", "emails", "addresses"],
        "each row of the list gets a mail of its own: `recipients = \"list.csv\"`, and `email_column` names the column",
    ),
    (
        &[
            "fromname",
            "sender",
            "sendername",
            "fromemail",
            "fromaddress",
            "senderemail",
        ],
        "the sender is one key: `from = \"Acme <news@acme.example>\"`",
    ),
    (
        &["replytoname", "replytoemail", "replytoaddress"],
        "one key has both: `reply_to = \"Help <help@acme.example>\"`",
    ),
    (
        &[
            "bounceto",
            "bounce",
            "bounces",
            "bounceaddress",
            "errorsto",
            "envelopefrom",
            "mailfrom",
        ],
        "the address for bounces is `return_path` in the campaign file",
    ),
    (
        &[
            "list",
            "csv",
            "csvfile",
            "database",
            "contacts",
            "subscribers",
            "listfile",
            "recipientsfile",
        ],
        "the list is `recipients = \"list.csv\"` in the campaign file",
    ),
    (
        &[
            "email",
            "emailfield",
            "tocolumn",
            "addresscolumn",
            "mailcolumn",
        ],
        "the column of the addresses is `email_column = \"…\"` in the campaign file",
    ),
    (
        &[
            "body",
            "message",
            "template",
            "content",
            "textbody",
            "htmlbody",
            "htmltemplate",
            "texttemplate",
        ],
        "a message is a file in `templates/`: `text = \"welcome.txt\"`, `html = \"welcome.html\"`, or both",
    ),
    (
        &["title", "betreff", "objet"],
        "the subject is `subject = \"…\"` in the campaign file",
    ),
    (
        &["preheader", "preview", "previewtext"],
        "put the preheader into the HTML template, as the first text of the body",
    ),
    (
        &[
            "unsubscribe",
            "unsubscribeurl",
            "unsubscribelink",
            "listunsubscribe",
        ],
        "write it under `[headers]` of the campaign file: `\"List-Unsubscribe\" = \"<https://…>, <mailto:…>\"`",
    ),
    (
        &["header", "customheaders", "extraheaders"],
        "header fields are in a table of the campaign file: `[headers]` with `\"X-Campaign\" = \"spring\"`",
    ),
    (
        &["priority", "importance", "xpriority"],
        "write it under `[headers]` of the campaign file: `\"X-Priority\" = \"1\"`",
    ),
    (
        &[
            "schedule",
            "at",
            "sendat",
            "start",
            "startat",
            "date",
            "time",
            "delayuntil",
            "notbefore",
        ],
        "the time is an option: `mailq enqueue CAMPAIGN.toml --at \"2026-12-01 09:00\"`",
    ),
    (
        &[
            "maxconnections",
            "concurrency",
            "workers",
            "maxworkers",
            "threads",
            "parallel",
            "pool",
            "poolsize",
            "connectionlimit",
        ],
        "it is `connections` under `[send]` in `mailq.toml`, or under one `[[relay]]`",
    ),
    (
        &[
            "delay",
            "interval",
            "sleep",
            "pause",
            "throttle",
            "ratelimit",
            "maxrate",
            "limit",
            "perhour",
            "perminute",
            "persecond",
            "speed",
            "messagerate",
            "dailylimit",
            "batch",
            "batchsize",
        ],
        "it is `rate` under `[send]` in `mailq.toml`: `rate = \"30/min\"`, `\"500/h\"` or `\"400/day\"`",
    ),
    (
        &["retries", "maxretries", "maxattempts", "attempts"],
        "it is `tries` under `[retry]` in `mailq.toml`",
    ),
    (
        &[
            "host",
            "hostname",
            "server",
            "smtp",
            "smtphost",
            "smtpserver",
            "smtpurl",
            "port",
            "smtpport",
            "provider",
        ],
        "the server is one URL: `[[relay]]` in `mailq.toml` with `url = \"smtp://smtp.example.com:587\"`",
    ),
    (
        &["username", "login", "smtpuser", "smtpusername"],
        "it is `user` under `[[relay]]` in `mailq.toml`",
    ),
    (
        &[
            "password",
            "pass",
            "passwd",
            "smtppass",
            "smtppassword",
            "apikey",
            "token",
            "secret",
        ],
        "the password is not written into a file: `password_env = \"SMTP_PASS\"` under `[[relay]]` in `mailq.toml`, or \
         `password_file`, `password_command`",
    ),
    (
        &[
            "tls",
            "ssl",
            "starttls",
            "secure",
            "usetls",
            "usessl",
            "encryption",
        ],
        "the URL of the relay says it: `smtps://host:465`, or `smtp://host:587` for STARTTLS",
    ),
    (
        &[
            "dkim",
            "dkimkey",
            "dkimselector",
            "dkimdomain",
            "sign",
            "smime",
            "pgp",
        ],
        "mailq does not sign messages: the relay does",
    ),
    (
        &[
            "tracking",
            "track",
            "trackopens",
            "trackclicks",
            "opens",
            "clicks",
            "utm",
        ],
        "mailq tracks neither opens nor clicks",
    ),
    (
        &[
            "variables",
            "vars",
            "data",
            "context",
            "mergetags",
            "fields",
            "globals",
        ],
        "variables are the columns of the list; `{% set shop = \"Acme\" %}` in a template sets one for all",
    ),
    (
        &["delimiter", "separator", "quote", "charset"],
        "mailq finds it out from the list itself; leave the key out",
    ),
];

/// The hint for an unknown key of a file.
pub fn advice(schema: &Schema, table: &str, name: &str) -> Option<String> {
    let other = (schema.other)();
    let file = other.file;
    let is_known_here = schema.keys().any(|key| key.name == name) || schema.table(name).is_some();
    if is_known_here {
        return None;
    }
    if let Some(key) = other.keys().find(|key| key.name == name) {
        let title = other.table(key.table).map(|table| table.title());
        let under = match title.filter(|title| !title.is_empty()) {
            Some(title) => format!("under `{title}` in {file}"),
            None => format!("at the top of {file}"),
        };
        return Some(format!("`{name}` belongs {under}"));
    }
    if let Some(found) = other
        .tables
        .iter()
        .find(|found| found.path == name && !name.is_empty())
    {
        return Some(format!("`{}` belongs in {file}", found.title()));
    }
    if table.starts_with("kafka") {
        return None;
    }
    let bare = name.to_lowercase().replace(['_', '-', ' '], "");
    let advice = ADVICE
        .iter()
        .find(|(names, _)| names.contains(&bare.as_str()));
    advice.map(|(_, advice)| advice.to_string())
}

/// The hint for a header field that mailq writes itself.
pub fn reserved_header(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "reply-to" => "set `reply_to` at the top of the file".into(),
        "from" => "set `from` at the top of the file".into(),
        "sender" => "set `from` at the top of the file; mailq sends no `Sender`".into(),
        "subject" => "set `subject` at the top of the file".into(),
        "return-path" => "set `return_path` at the top of the file".into(),
        "cc" | "bcc" => ADVICE
            .iter()
            .find(|(names, _)| names.contains(&"cc"))
            .map_or_else(String::new, |(_, advice)| advice.to_string()),
        "to" => "`To` is the address of the row; remove the field".into(),
        _ => "remove the field".into(),
    }
}

/// Why a campaign cannot have this header field.
pub fn why_reserved(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "cc" | "bcc" => "would promise a copy that is not sent",
        _ => "is written by mailq itself",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::{CAMPAIGN, PROJECT};

    #[test]
    fn says_where_a_key_belongs() {
        for (name, wanted) in [
            ("attachments", "no attachments"),
            ("bcc", "no copies"),
            ("rate", "`rate` belongs under `[send]` in `mailq.toml`"),
            ("relay", "`[[relay]]` belongs in `mailq.toml`"),
            ("max_connections", "`connections` under `[send]`"),
            ("Send-At", "--at"),
        ] {
            let found = advice(&CAMPAIGN, "", name).unwrap_or_default();
            assert!(found.contains(wanted), "{name}: {found}");
        }
        let found = advice(&PROJECT, "", "once_per");
        assert_eq!(
            found.as_deref(),
            Some("`once_per` belongs at the top of the campaign file")
        );
        for typo in ["fromm", "subjct", "reply-to"] {
            assert_eq!(advice(&CAMPAIGN, "", typo), None, "{typo}");
        }
        assert_eq!(advice(&PROJECT, "relay", "rate"), None);
    }
}
