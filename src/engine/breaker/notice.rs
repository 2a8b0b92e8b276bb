//! What an operator is told of a breaker.

use super::LOGINS;
use crate::domain::duration;
use crate::domain::rate::Rate;
use crate::domain::shown::with_spaces;
use crate::smtp::LoginProblem;
use std::fmt;
use std::time::Duration;

const MAX_WORDS: usize = 200;

/// One line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Opened {
        what: String,
        words: String,
    },
    LoginRefused {
        what: String,
        words: String,
        problem: LoginProblem,
    },
    /// The relay lets in no more connections than these.
    Connections {
        what: String,
        allowed: usize,
        words: String,
    },
    /// It defers what is sent faster.
    Slowed {
        what: String,
        rate: Rate,
        words: String,
    },
    /// It takes mail faster than it did for long.
    FullSpeed {
        what: String,
    },
    Closed {
        what: String,
        after: Duration,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Opened { what, words } => {
                write!(f, "{what} is paused and probed: {words}")
            }
            Notice::LoginRefused { what, words, .. } => {
                let waits: Vec<String> = LOGINS.iter().map(|wait| duration::human(*wait)).collect();
                let [first @ .., last] = waits.as_slice() else {
                    return Ok(());
                };
                let first = first.join(", ");
                write!(
                    f,
                    "{what} refuses our login: {words}; it is tried again after {first}, then every {last}"
                )
            }
            Notice::Connections {
                what,
                allowed,
                words,
            } => {
                write!(f, "{what} lets in no more than {allowed} at once: {words}")
            }
            Notice::Slowed { what, rate, words } => {
                write!(f, "{what} takes about {rate} and is sent no more: {words}")
            }
            Notice::FullSpeed { what } => write!(f, "{what} takes mail at full speed again"),
            Notice::Closed { what, after } => {
                write!(f, "{what} works again after {}", duration::human(*after))
            }
        }
    }
}

/// The relay's reply for people: without hidden characters, shortened.
pub fn printable(words: &str) -> String {
    with_spaces(words).chars().take(MAX_WORDS).collect()
}
