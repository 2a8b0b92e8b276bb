//! Something between braces that is no template of ours, and what to write instead: the reason of a syntax error.

/// Something between braces that makes a template invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slip {
    /// Position in the source, in bytes.
    pub at: usize,
    pub what: SlipKind,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlipKind {
    /// The character, and what to write instead.
    #[error("the character `{0}` between braces")]
    Character(String, &'static str),
    /// The name of a character, and what to write instead.
    #[error("{0} between braces")]
    Invisible(&'static str, &'static str),
    #[error("the HTML entity `{0}` between braces")]
    Entity(String, &'static str),
    #[error("the name `{0}` is not a single word")]
    Name(String),
    #[error("{reason}")]
    OtherLanguage {
        reason: String,
        /// What to write.
        instead: &'static str,
    },
}
