//! `keys!` declares the keys of one table: the struct that they are read into, and all that is known about each.

use super::super::error::ConfigError;
use super::super::layers::Reader;
use super::super::source::Sourced;
use super::value::Value;

/// Declares the keys of one table:
///
/// ```text
/// keys! {
///     /// What the table is for.
///     pub struct SendKeys in "send" as Table {
///         /// One line of help
///         ///
///         /// What only the manual says.
///         burst: u32 { default: "1", limits: Limits::Whole(1, 1_000_000), flag: "--burst" }
///     }
/// }
/// ```
///
/// The type is a `Field`: `T` for a key that is required or has a default, `Option<T>` for one that may be unset, and
/// `Sourced<T>` where the reader needs to know where the value comes from. The parts in braces are the methods of `Key`.
/// `SendKeys::burst()` is what is known about the key, for the flag and for messages.
macro_rules! keys {
    (
        $(#[doc = $about:literal])+
        pub struct $Keys:ident in $path:literal as $shape:ident {
            $(
                $(#[doc = $text:literal])+
                $field:ident: $type:ty { $($part:ident: $value:expr),* $(,)? }
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $Keys {
            $($(#[doc = $text])+ pub $field: $type,)+
        }

        impl $Keys {
            const KEYS: &'static [&'static $crate::config::schema::Key] =
                &[$($Keys::$field()),+];

            $(
                #[doc = concat!("What is known about the key `", stringify!($field), "`.")]
                pub const fn $field() -> &'static $crate::config::schema::Key {
                    const KEY: $crate::config::schema::Key =
                        $crate::config::schema::Key::new::<$type>(
                            $path,
                            stringify!($field),
                            concat!($($text, "\n"),+),
                        )
                        $(.$part($value))*;
                    &KEY
                }
            )+
        }

        impl $crate::config::schema::Keys for $Keys {
            const TABLE: $crate::config::schema::Table = $crate::config::schema::Table::new(
                $path,
                $crate::config::schema::Shape::$shape,
                concat!($($about, "\n"),+),
                $Keys::KEYS,
            );

            fn read(
                reader: &$crate::config::layers::Reader<'_>,
            ) -> Result<$Keys, $crate::config::ConfigError> {
                Ok($Keys { $($field: reader.field($Keys::$field())?),+ })
            }
        }
    };
}

pub(crate) use keys;

/// The keys of one table, read.
pub trait Keys: Sized {
    const TABLE: super::Table;

    /// Errors: the first key that is missing or has a wrong value.
    fn read(reader: &Reader<'_>) -> Result<Self, ConfigError>;
}

/// What a field of a `Keys` struct may be.
pub trait Field: Sized {
    type Value: Value;
    /// Whether a key without a default has to be in the file.
    const IS_REQUIRED: bool;

    /// `None`: the key is unset and required.
    fn of(found: Option<Sourced<Self::Value>>) -> Option<Self>;
}

impl<T: Value> Field for T {
    type Value = T;
    const IS_REQUIRED: bool = true;

    fn of(found: Option<Sourced<T>>) -> Option<T> {
        found.map(|found| found.value)
    }
}

impl<T: Value> Field for Sourced<T> {
    type Value = T;
    const IS_REQUIRED: bool = true;

    fn of(found: Option<Sourced<T>>) -> Option<Sourced<T>> {
        found
    }
}

impl<F: Field> Field for Option<F> {
    type Value = F::Value;
    const IS_REQUIRED: bool = false;

    fn of(found: Option<Sourced<F::Value>>) -> Option<Option<F>> {
        Some(found.and_then(|found| F::of(Some(found))))
    }
}
