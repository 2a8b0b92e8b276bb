//! Findings of `mailq check` about rendered messages, from campaigns that have them.

use super::heading;
use crate::cli::Folder;

pub fn texts() -> String {
    let mut text = heading("Findings of check about messages");
    for (campaign, template, list) in CAMPAIGNS {
        let folder = Folder::new();
        folder
            .write("a.toml", campaign)
            .write("a.csv", list)
            .write("templates/a.html", template)
            .write("templates/a.txt", "Hello Anna,\n");
        let ran = folder.mailq(&["check", "a.toml"]);
        text += &format!("{}{}\n", ran.stderr, ran.stdout);
    }
    text
}

/// Campaign file, HTML template, list.
const CAMPAIGNS: [(&str, &str, &str); 4] = [
    (
        "from = \"me@example.com\"\nsubject = \"{{ name }}\"\nhtml = \"a.html\"\n",
        "<p>Hello {{ name }},</p>{{ \"{{\" }}\n",
        "email,name\na@example.com,\nb@gmial.com,B\nb@gmial.com,C\n",
    ),
    (
        "from = \"me@example.com\"\nsubject = \"Hi\"\nhtml = \"a.html\"\n[headers]\n\
         \"List-Unsubscribe\" = \"<https://example.com/leave>\"\n",
        "<p>{% for i in range(12000) %}long text {% endfor %}</p>\n",
        "email\na@example.com\nb@example.com\n",
    ),
    (
        "from = \"me@example.com\"\nsubject = \"Hi\"\ntext = \"a.txt\"\n[headers]\n\
         \"List-Unsubscribe\" = \"<mailto:leave@example.com>\"\n",
        "",
        "email\n\u{e9}@example.com\n",
    ),
    (
        "from = \"me@example.com\"\nsubject = \"Hi\"\ntext = \"a.txt\"\n[headers]\n\
         \"List-Unsubscribe\" = \"<https://example.com/{{ email | urlencode }}>, <mailto:leave@example.com>\"\n\
         \"List-Unsubscribe-Post\" = \"List-Unsubscribe=One-Click\"\n",
        "",
        "email\na@example.com\n",
    ),
];
