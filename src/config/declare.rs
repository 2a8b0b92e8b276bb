//! `keys!` declares the keys of one table: the struct that they are read into, and all that is known about each.

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

        impl $crate::config::layers::Keys for $Keys {
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
