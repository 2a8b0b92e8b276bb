//! Enums whose variants have a name in JSON, in filters and in messages. Each name is declared beside its variant.

/// Declares a fieldless enum with `ALL`, `name`, `Display`, `FromStr` and serde, all by the given names.
macro_rules! named {
    (
        $(#[$attribute:meta])*
        pub enum $type:ident {
            $($(#[$variant_attribute:meta])* $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $($(#[$variant_attribute])* $variant,)+
        }

        impl $type {
            /// Every variant, in the order of their declaration.
            pub const ALL: [$type; [$($name),+].len()] = [$($type::$variant),+];

            pub const fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<$type, String> {
                let found = $type::ALL.into_iter().find(|known| known.name() == text);
                found.ok_or_else(|| format!("`{text}` is not a known name"))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use named;

#[cfg(test)]
mod tests {
    named! {
        pub enum Fruit {
            Apple = "apple",
            SourCherry = "sour_cherry",
        }
    }

    #[test]
    fn parses_and_prints_the_declared_names() {
        assert_eq!(Fruit::ALL, [Fruit::Apple, Fruit::SourCherry]);
        assert_eq!(Fruit::SourCherry.to_string(), "sour_cherry");
        assert_eq!("sour_cherry".parse(), Ok(Fruit::SourCherry));
        assert_eq!(
            "plum".parse::<Fruit>().unwrap_err(),
            "`plum` is not a known name"
        );
        assert_eq!(format!("{:>7}|", Fruit::Apple), "  apple|");
    }

    #[test]
    fn json_uses_the_declared_names() {
        let json = serde_json::to_string(&Fruit::ALL).unwrap();
        assert_eq!(json, r#"["apple","sour_cherry"]"#);
        let read: Vec<Fruit> = serde_json::from_str(&json).unwrap();
        assert_eq!(read, Fruit::ALL);
        let value = serde_json::Value::from("apple");
        assert_eq!(
            serde_json::from_value::<Fruit>(value).unwrap(),
            Fruit::Apple
        );
        assert!(serde_json::from_str::<Fruit>("\"plum\"").is_err());
    }
}
