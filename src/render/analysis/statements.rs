//! The walk through statements: what they bind, and in which order.

use super::kind::Typed;
use super::{Walk, kind::Kind};
use minijinja::machinery::{ast, parse};

impl Walk<'_> {
    /// Walks the whole template. One that does not parse has been refused before.
    pub fn template(&mut self) {
        let source = &self.template.source;
        if let Ok(tree) = parse(source, &self.template.shown, Default::default()) {
            self.statement(&tree);
        }
    }

    fn body(&mut self, statements: &[ast::Stmt<'_>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn scope(&mut self, statements: &[ast::Stmt<'_>]) {
        self.scopes.enter();
        self.body(statements);
        self.scopes.leave();
    }

    fn statement(&mut self, statement: &ast::Stmt<'_>) {
        match statement {
            ast::Stmt::Template(template) => self.body(&template.children),
            ast::Stmt::EmitExpr(emit) => {
                self.value(&emit.expr);
            }
            ast::Stmt::ForLoop(looped) => self.for_loop(looped),
            ast::Stmt::IfCond(condition) => self.condition(condition),
            ast::Stmt::WithBlock(with) => {
                self.scopes.enter();
                for (target, value) in &with.assignments {
                    let value = self.value(value);
                    self.bind(target, value);
                }
                self.body(&with.body);
                self.scopes.leave();
            }
            ast::Stmt::Set(set) => {
                let value = self.value(&set.expr);
                self.bind(&set.target, value);
            }
            ast::Stmt::SetBlock(set) => {
                self.scope(&set.body);
                if let Some(filter) = &set.filter {
                    self.value(filter);
                }
                self.bind(&set.target, Typed::of(Kind::Text));
            }
            ast::Stmt::AutoEscape(block) => self.scope(&block.body),
            ast::Stmt::FilterBlock(block) => {
                self.value(&block.filter);
                self.scope(&block.body);
            }
            ast::Stmt::Block(block) => self.scope(&block.body),
            ast::Stmt::Macro(made) => self.macro_body(made),
            ast::Stmt::CallBlock(block) => {
                self.call(&block.call);
                self.macro_body(&block.macro_decl);
            }
            ast::Stmt::Do(done) => {
                self.call(&done.call);
            }
            ast::Stmt::Import(import) => self.bind(&import.name, Typed::other()),
            ast::Stmt::FromImport(import) => {
                for (name, alias) in &import.names {
                    self.bind(alias.as_ref().unwrap_or(name), Typed::other());
                }
            }
            ast::Stmt::Include(_)
            | ast::Stmt::Extends(_)
            | ast::Stmt::EmitRaw(_)
            | ast::Stmt::Continue(_)
            | ast::Stmt::Break(_) => {}
        }
    }

    fn for_loop(&mut self, looped: &ast::ForLoop<'_>) {
        let element = self.value(&looped.iter).element();
        self.scopes.enter();
        self.bind(&looped.target, element);
        self.scopes.bind("loop", Typed::other());
        if let Some(filter) = &looped.filter_expr {
            self.truth(filter);
        }
        self.body(&looped.body);
        self.scopes.leave();
        self.scope(&looped.else_body);
    }

    fn condition(&mut self, condition: &ast::IfCond<'_>) {
        self.truth(&condition.expr);
        let before = self.scopes.clone();
        self.body(&condition.true_body);
        let after_true = std::mem::replace(&mut self.scopes, before);
        self.body(&condition.false_body);
        self.scopes.merge(&after_true);
    }

    fn macro_body(&mut self, made: &ast::Macro<'_>) {
        let given = self.macros.get(made.name).cloned().unwrap_or_default();
        self.scopes.enter();
        for name in ["caller", "varargs", "kwargs"] {
            self.scopes.bind(name, Typed::other());
        }
        let mut given = given.into_iter();
        for argument in &made.args {
            let value = given.next().unwrap_or_else(Typed::other);
            self.bind(argument, value);
        }
        for default in &made.defaults {
            self.value(default);
        }
        self.body(&made.body);
        self.scopes.leave();
    }

    /// Binds a name, or each name of a tuple.
    fn bind(&mut self, target: &ast::Expr<'_>, value: Typed) {
        match target {
            ast::Expr::Var(variable) => self.scopes.bind(variable.id, value),
            ast::Expr::List(list) => self.bind_each(&list.items),
            ast::Expr::Tuple(tuple) => self.bind_each(&tuple.items),
            _ => {}
        }
    }

    fn bind_each(&mut self, targets: &[ast::Expr<'_>]) {
        for target in targets {
            self.bind(target, Typed::other());
        }
    }
}
