//! An example of each variant of each error enum, as a command prints it. A variant without an example does not compile.

mod inputs;
mod queue;
mod reasons;

use super::heading;
use mailq::commands::Failure;

/// Pushes one entry for each example, `Enum::Variant` and its text. The match inside has no wildcard, so a new variant
/// must get an example; an example under another variant's name fails.
macro_rules! examples {
    ($texts:ident, $text:expr, $enum:ident { $($variant:ident => $example:expr),+ $(,)? }) => {{
        fn variant_of(example: &$enum) -> &'static str {
            match example {
                $($enum::$variant { .. } => stringify!($variant)),+
            }
        }
        for (variant, example) in [$((stringify!($variant), $example)),+] {
            assert_eq!(variant_of(&example), variant);
            let title = format!("{}::{variant}", stringify!($enum));
            $texts.push(format!("# {title}\n{}\n", $text(example)));
        }
    }};
}
use examples;

pub fn texts() -> String {
    let mut text = heading("Errors and hints");
    text += &queue::texts().concat();
    text += &inputs::texts().concat();
    text += &heading("Parts of errors and findings");
    text += &reasons::texts().concat();
    text
}

/// What a command prints when it ends with this error.
fn failure(error: impl Into<Failure>) -> String {
    let failure = error.into();
    let mut text = format!("error: {}\n", failure.what);
    if let Some(hint) = failure.hint {
        text += &format!("hint: {hint}\n");
    }
    text + &format!("(exit code {})\n", failure.exit as u8)
}
