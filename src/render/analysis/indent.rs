//! How far `tojson` may indent: it writes its spaces before the engine counts their bytes.

use super::Walk;
use crate::render::error::TemplateError;
use minijinja::machinery::ast::{self, CallArg, Expr};

/// Most spaces that `tojson` may indent by.
const MAX_INDENT: i64 = 100;

impl Walk<'_> {
    /// Refuses an indent that is large, or that only a rendering knows.
    pub fn check_indent(&mut self, filter: &ast::Filter<'_>, at: usize) {
        let is_mapped = filter.name == "map" && first_text(filter) == Some("tojson");
        let arguments = filter.args.iter().skip(usize::from(is_mapped));
        let is_small = |argument: &CallArg<'_>| match argument {
            CallArg::Pos(Expr::Const(indent)) | CallArg::Kwarg(_, Expr::Const(indent)) => {
                i64::try_from(indent.value.clone()).is_ok_and(|indent| indent <= MAX_INDENT)
            }
            _ => false,
        };
        if (is_mapped || filter.name == "tojson") && !arguments.into_iter().all(is_small) {
            let place = self.place(at);
            let what = format!("`tojson` indents by a number up to {MAX_INDENT}");
            self.fail(at, TemplateError::Excess { place, what });
        }
    }
}

/// The first argument of a filter, if it is a text of the template.
pub fn first_text<'a>(filter: &'a ast::Filter<'_>) -> Option<&'a str> {
    match filter.args.first() {
        Some(CallArg::Pos(Expr::Const(constant))) => constant.value.as_str(),
        _ => None,
    }
}
