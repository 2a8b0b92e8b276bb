//! A file name as one word of a command that people copy into a shell.

use std::path::Path;

/// In single quotes if the shell would split it or read something into it.
pub fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "_./-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return match text.strip_prefix('-') {
            // It would be taken for a flag.
            Some(_) => format!("./{text}"),
            None => text,
        };
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word() {
        for (name, word) in [
            ("lists/spring-sale.csv", "lists/spring-sale.csv"),
            ("Empfänger.csv", "Empfänger.csv"),
            ("spring sale.csv", "'spring sale.csv'"),
            ("anna's; rm *.csv", r"'anna'\''s; rm *.csv'"),
            ("-list.csv", "./-list.csv"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(Path::new(name)), word);
        }
    }
}
