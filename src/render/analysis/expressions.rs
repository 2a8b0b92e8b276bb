//! The walk through expressions: the kind of each value, and what may not be done with a text.

use super::indent::first_text;
use super::kind::{Kind, Typed};
use super::{CellUse, Walk};
use crate::render::cell_type::CellType;
use crate::render::error::{TemplateError, TextUse, UnknownName};
use crate::render::functions::{FILTERS, METHODS, TESTS};
use crate::render::row::{ROW, ROWS};
use minijinja::machinery::ast;
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr};

/// Where an expression begins. The engine's span of a filter begins at its name.
fn at(expression: &Expr<'_>) -> usize {
    match expression {
        Expr::Filter(filter) => filter.expr.as_ref().map_or(0, at),
        _ => expression.span().start_offset as usize,
    }
}

impl Walk<'_> {
    /// An expression whose truth decides something.
    pub fn truth(&mut self, expression: &Expr<'_>) {
        match expression {
            Expr::BinOp(operation) if is_logic(operation.op) => {
                self.truth(&operation.left);
                self.truth(&operation.right);
            }
            _ => {
                let value = self.value(expression);
                self.truth_of(&value, at(expression));
            }
        }
    }

    fn truth_of(&mut self, value: &Typed, at: usize) {
        if let (Kind::Text, Some(column)) = (value.kind, &value.column) {
            self.test(column, CellUse::Truth, at);
        }
    }

    pub fn value(&mut self, expression: &Expr<'_>) -> Typed {
        match expression {
            Expr::Var(variable) => self.variable(variable.id),
            Expr::Const(constant) => Typed::constant(&constant.value),
            Expr::Slice(slice) => {
                for part in [&slice.start, &slice.stop, &slice.step]
                    .into_iter()
                    .flatten()
                {
                    self.value(part);
                }
                self.value(&slice.expr).derived()
            }
            Expr::UnaryOp(operation) => match operation.op {
                ast::UnaryOpKind::Not => {
                    self.truth(&operation.expr);
                    Typed::of(Kind::Boolean)
                }
                ast::UnaryOpKind::Neg => {
                    let value = self.value(&operation.expr);
                    self.calculates(&value, "-", at(&operation.expr));
                    Typed::of(Kind::Number)
                }
            },
            Expr::BinOp(operation) => self.operation(operation),
            Expr::Compare(compare) => self.comparison(compare),
            Expr::IfExpr(choice) => {
                self.truth(&choice.test_expr);
                let first = self.value(&choice.true_expr);
                match &choice.false_expr {
                    Some(other) => first.or(self.value(other)),
                    None => first,
                }
            }
            Expr::Filter(filter) => self.filter(filter, expression.span().start_offset as usize),
            Expr::Test(test) => self.is_test(test),
            Expr::GetAttr(get) => self.attribute(get),
            Expr::GetItem(get) => self.item(get),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.list(&list.items),
            Expr::Tuple(tuple) => self.list(&tuple.items),
            Expr::Map(map) => {
                for part in map.keys.iter().chain(&map.values) {
                    self.value(part);
                }
                Typed::other()
            }
        }
    }

    fn attribute(&mut self, get: &ast::GetAttr<'_>) -> Typed {
        match self.value(&get.expr).kind {
            Kind::Row => self.column(get.name),
            _ if is_loop(&get.expr) => match get.name {
                "first" | "last" => Typed::of(Kind::Boolean),
                "index" | "index0" | "revindex" | "revindex0" | "length" | "depth" | "depth0" => {
                    Typed::of(Kind::Number)
                }
                _ => Typed::other(),
            },
            _ => Typed::other(),
        }
    }

    fn item(&mut self, get: &ast::GetItem<'_>) -> Typed {
        let container = self.value(&get.expr);
        self.value(&get.subscript_expr);
        match (&get.subscript_expr, container.kind) {
            (Expr::Const(key), Kind::Row) => self.column(key.value.as_str().unwrap_or_default()),
            (_, Kind::Text) => container.derived(),
            _ => container.element(),
        }
    }

    fn variable(&self, name: &str) -> Typed {
        match self.scopes.get(name) {
            Some(bound) => bound.clone(),
            None if self.bound_elsewhere.contains(name) => Typed::other(),
            None if self.columns.names.iter().any(|column| column == name) => self.column(name),
            None if name == ROW => Typed::of(Kind::Row),
            None if self.columns.is_grouped && name == ROWS => Typed::of(Kind::Rows),
            None => Typed::other(),
        }
    }

    fn column(&self, name: &str) -> Typed {
        let kind = match self.columns.types.get(name) {
            Some(CellType::Integer | CellType::Decimal) => Kind::Number,
            Some(CellType::Boolean) => Kind::Boolean,
            Some(CellType::Date) => Kind::Date,
            None => Kind::Text,
        };
        Typed::cell(kind, name)
    }

    fn list(&mut self, items: &[Expr<'_>]) -> Typed {
        let mut kinds = Vec::with_capacity(items.len());
        for item in items {
            kinds.push(self.value(item).kind);
        }
        let all = |kind: Kind| !kinds.is_empty() && kinds.iter().all(|found| *found == kind);
        match () {
            () if all(Kind::Number) => Typed::of(Kind::Numbers),
            () if all(Kind::Text) => Typed::of(Kind::Texts),
            () => Typed::other(),
        }
    }

    fn operation(&mut self, operation: &ast::BinOp<'_>) -> Typed {
        if matches!(operation.op, BinOpKind::ScAnd | BinOpKind::ScOr) {
            // The left side decides which of the two it is.
            self.truth(&operation.left);
            let (left, right) = (self.value(&operation.left), self.value(&operation.right));
            return left.or(right);
        }
        let (left, right) = (self.value(&operation.left), self.value(&operation.right));
        let places = (at(&operation.left), at(&operation.right));
        let sign = match operation.op {
            BinOpKind::Concat => return Typed::of(Kind::Text),
            BinOpKind::Add => return self.sum(&left, &right, places),
            BinOpKind::Sub => "-",
            BinOpKind::Mul => "*",
            BinOpKind::Div => "/",
            BinOpKind::FloorDiv => "//",
            BinOpKind::Rem => "%",
            BinOpKind::Pow => "**",
            BinOpKind::Eq => return self.compares(&left, "==", &right, places),
            BinOpKind::Ne => return self.compares(&left, "!=", &right, places),
            BinOpKind::Lt => return self.compares(&left, "<", &right, places),
            BinOpKind::Lte => return self.compares(&left, "<=", &right, places),
            BinOpKind::Gt => return self.compares(&left, ">", &right, places),
            BinOpKind::Gte => return self.compares(&left, ">=", &right, places),
            BinOpKind::In => return self.searches(&left, &right, places),
            BinOpKind::ScAnd | BinOpKind::ScOr => return Typed::other(),
        };
        // `"-" * 20` is a line of dashes.
        if left.column.is_some() || right.column.is_some() || sign != "*" {
            self.calculates(&left, sign, places.0);
            self.calculates(&right, sign, places.1);
        }
        Typed::of(Kind::Number)
    }

    fn sum(&mut self, left: &Typed, right: &Typed, places: (usize, usize)) -> Typed {
        match (left.kind, right.kind) {
            (Kind::Text, Kind::Text) => {
                if let (true, Some(first), true, Some(second)) =
                    (left.is_cell, &left.column, right.is_cell, &right.column)
                {
                    self.test(first, CellUse::Sum, places.0);
                    self.test(second, CellUse::Sum, places.0);
                }
                let column = left.column.clone().or(right.column.clone());
                Typed {
                    column,
                    ..Typed::of(Kind::Text)
                }
            }
            (Kind::Text, Kind::Number) => {
                self.calculates(left, "+", places.0);
                Typed::of(Kind::Number)
            }
            (Kind::Number, Kind::Text) => {
                self.calculates(right, "+", places.1);
                Typed::of(Kind::Number)
            }
            (Kind::Number, Kind::Number) => Typed::of(Kind::Number),
            _ => Typed::other(),
        }
    }

    /// An operation that only numbers have.
    fn calculates(&mut self, value: &Typed, with: &str, at: usize) {
        if let (Kind::Text | Kind::Texts, Some(column)) = (value.kind, &value.column) {
            let used = TextUse::Calculated(with.to_string());
            self.fail_text(column.clone(), used, at);
        }
    }

    fn fail_text(&mut self, column: String, used: TextUse, at: usize) {
        let place = self.place(at);
        let name = self.columns.types.get(&column).map(|known| known.name());
        let error = TemplateError::TextUsed {
            place,
            column,
            kind: name.unwrap_or("text"),
            used,
        };
        self.fail(at, error);
    }

    fn comparison(&mut self, compare: &ast::Compare<'_>) -> Typed {
        let mut left = self.value(&compare.expr);
        let mut left_at = at(&compare.expr);
        for step in &compare.ops {
            let right = self.value(&step.expr);
            let places = (left_at, at(&step.expr));
            let sign = match step.op {
                CompareOpKind::Eq => "==",
                CompareOpKind::Ne => "!=",
                CompareOpKind::Lt => "<",
                CompareOpKind::Lte => "<=",
                CompareOpKind::Gt => ">",
                CompareOpKind::Gte => ">=",
                CompareOpKind::In | CompareOpKind::NotIn => "in",
            };
            match sign {
                "in" => self.searches(&left, &right, places),
                _ => self.compares(&left, sign, &right, places),
            };
            (left, left_at) = (right, places.1);
        }
        Typed::of(Kind::Boolean)
    }

    fn compares(
        &mut self,
        left: &Typed,
        sign: &str,
        right: &Typed,
        places: (usize, usize),
    ) -> Typed {
        let result = Typed::of(Kind::Boolean);
        let simple = [Kind::Text, Kind::Number, Kind::Boolean, Kind::Date];
        if !simple.contains(&left.kind) || !simple.contains(&right.kind) {
            return result;
        }
        let is_order = sign.starts_with(['<', '>']);
        let sides = [(left, right, places.0), (right, left, places.1)];
        let mixed = left.kind != right.kind;
        for (cell, other, at) in sides {
            let Some(column) = &cell.column else { continue };
            let is_number = other.kind == Kind::Number || (is_order && other.is_numeral);
            if (mixed && (cell.is_text() || !other.is_text() || other.column.is_none()))
                || (cell.is_text() && is_order && other.is_numeral)
            {
                let with = match other.kind {
                    _ if is_number => "a number",
                    Kind::Boolean => "`true` or `false`",
                    Kind::Date => "a date",
                    _ => "a text",
                };
                let used = TextUse::Compared(sign.to_string(), with);
                self.fail_text(column.clone(), used, at);
                return result;
            }
            if cell.is_text() && other.is_text() && is_order && other.column.is_some() {
                self.test(column, CellUse::Order, at);
            }
        }
        result
    }

    fn searches(&mut self, left: &Typed, right: &Typed, places: (usize, usize)) -> Typed {
        if let (Kind::Text, Kind::Numbers, Some(column)) = (left.kind, right.kind, &left.column) {
            let used = TextUse::Compared("in".into(), "numbers");
            self.fail_text(column.clone(), used, places.0);
        }
        Typed::of(Kind::Boolean)
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) -> Vec<Typed> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            match argument {
                CallArg::Pos(value) => {
                    let value = self.value(value);
                    values.push(value);
                }
                CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => {
                    self.value(value);
                }
            }
        }
        values
    }

    fn filter(&mut self, filter: &ast::Filter<'_>, at: usize) -> Typed {
        let input = match &filter.expr {
            Some(expression) => self.value(expression),
            None => Typed::of(Kind::Text),
        };
        let arguments = self.arguments(&filter.args);
        if !FILTERS.contains(&filter.name) {
            let place = self.place(at);
            let name = UnknownName::new("filter", filter.name, &FILTERS, place);
            self.fail(at, TemplateError::UnknownName(Box::new(name)));
            return Typed::other();
        }
        self.check_indent(filter, at);
        match filter.name {
            "abs" | "round" | "sum" => {
                self.calculates(&input, filter.name, at);
                Typed::of(Kind::Number)
            }
            "int" | "float" | "length" | "count" => Typed::of(Kind::Number),
            "bool" => {
                self.truth_of(&input, at);
                Typed::of(Kind::Boolean)
            }
            "default" | "d" => match arguments.into_iter().next() {
                Some(default) if input.kind == Kind::Other => default.derived().or(Typed::other()),
                _ => input,
            },
            "split" | "lines" if input.is_text() => Typed {
                column: input.column,
                ..Typed::of(Kind::Texts)
            },
            "list" | "sort" | "unique" | "reverse" if !input.is_text() => input,
            "first" | "last" | "min" | "max" if !input.is_text() => input.element(),
            "map" if maps_to_numbers(filter) => Typed::of(Kind::Numbers),
            "upper" | "lower" | "title" | "capitalize" | "trim" | "replace" | "safe" | "escape"
            | "e" | "string" => match input.is_text() {
                true => input.derived(),
                false => Typed::of(Kind::Text),
            },
            "currency" | "date" | "strftime" | "dateformat" | "datetimeformat" | "nl2br"
            | "plural" | "pluralize" | "truncate" | "wordwrap" | "join" | "urlencode"
            | "tojson" | "format" => Typed::of(Kind::Text),
            _ => Typed::other(),
        }
    }

    fn is_test(&mut self, test: &ast::Test<'_>) -> Typed {
        let value = self.value(&test.expr);
        let arguments = self.arguments(&test.args);
        let place = at(&test.expr);
        if !TESTS.contains(&test.name) {
            let unknown = UnknownName::new("test", test.name, &TESTS, self.place(place));
            self.fail(place, TemplateError::UnknownName(Box::new(unknown)));
            return Typed::of(Kind::Boolean);
        }
        let sign = match test.name {
            "eq" | "equalto" | "==" => Some("=="),
            "ne" | "!=" => Some("!="),
            "lt" | "lessthan" | "<" => Some("<"),
            "le" | "<=" => Some("<="),
            "gt" | "greaterthan" | ">" => Some(">"),
            "ge" | ">=" => Some(">="),
            _ => None,
        };
        let result = Typed::of(Kind::Boolean);
        match (sign, arguments.first()) {
            (Some(sign), Some(other)) => return self.compares(&value, sign, other, (place, place)),
            (None, Some(other)) if test.name == "in" => {
                return self.searches(&value, other, (place, place));
            }
            _ => {}
        }
        let needs_more = [
            "odd",
            "even",
            "divisibleby",
            "number",
            "integer",
            "int",
            "float",
        ];
        let of_truth = ["true", "false", "boolean"];
        let Some(column) = value.column.clone().filter(|_| value.is_text()) else {
            return result;
        };
        if needs_more.contains(&test.name) {
            let used = TextUse::Compared(format!("is {}", test.name), "a number");
            self.fail_text(column, used, place);
        } else if of_truth.contains(&test.name) {
            let used = TextUse::Compared(format!("is {}", test.name), "`true` or `false`");
            self.fail_text(column, used, place);
        }
        result
    }

    pub fn call(&mut self, call: &ast::Call<'_>) -> Typed {
        let arguments = self.arguments(&call.args);
        match &call.expr {
            Expr::Var(function) => match function.id {
                "range" => Typed::of(Kind::Numbers),
                "now" | "parse_date" if self.scopes.get(function.id).is_none() => {
                    Typed::of(Kind::Date)
                }
                name => {
                    self.calls_macro(name, arguments);
                    Typed::other()
                }
            },
            Expr::GetAttr(method) => {
                let value = self.value(&method.expr);
                if !value.is_text() {
                    self.calls_macro(method.name, arguments);
                    return Typed::other();
                }
                self.text_method(value, method.name, at(&method.expr))
            }
            other => {
                self.value(other);
                Typed::other()
            }
        }
    }

    fn text_method(&mut self, text: Typed, name: &str, at: usize) -> Typed {
        if !METHODS.contains(&name) {
            let unknown = UnknownName::new("method", name, &METHODS, self.place(at));
            self.fail(at, TemplateError::UnknownName(Box::new(unknown)));
            return Typed::other();
        }
        match name {
            "split" | "splitlines" => Typed {
                column: text.column,
                ..Typed::of(Kind::Texts)
            },
            "count" | "find" | "rfind" => Typed::of(Kind::Number),
            _ if name.starts_with("is") || name.ends_with("with") => Typed::of(Kind::Boolean),
            _ => text.derived(),
        }
    }

    /// Notes the arguments of a call, for the walk through the macro of this name.
    fn calls_macro(&mut self, name: &str, arguments: Vec<Typed>) {
        let known = self.macros.entry(name.to_string()).or_default();
        for (index, argument) in arguments.into_iter().enumerate() {
            match known.get_mut(index) {
                Some(earlier) => *earlier = earlier.clone().or(argument),
                None => known.push(argument),
            }
        }
    }
}

fn is_logic(operation: BinOpKind) -> bool {
    matches!(operation, BinOpKind::ScAnd | BinOpKind::ScOr)
}

fn is_loop(expression: &Expr<'_>) -> bool {
    matches!(expression, Expr::Var(variable) if variable.id == "loop")
}

/// `map("int")`, `map("float")`.
fn maps_to_numbers(filter: &ast::Filter<'_>) -> bool {
    matches!(first_text(filter), Some("int" | "float"))
}
