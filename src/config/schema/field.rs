//! What a field of a struct declared with `keys!` may be: a value, a value that may be unset, a value with its source.

use super::value::Value;
use crate::config::source::Sourced;

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
