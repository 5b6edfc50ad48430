//! Every function's meaning, by family; and choosing the form of a function that fits its arguments.
//!
//! Owns: kernels and the list of their forms. Knows nothing of syntax: date parts and the like arrive as values.
//! A function that is not listed does not exist, whatever DataFusion knows by that name.

pub(crate) mod arith;
pub(crate) mod array;
mod bits;
pub(crate) mod call;
pub(crate) mod cast;
pub(crate) mod cell;
pub(crate) mod civil;
pub(crate) mod date;
pub(crate) mod decimal;
mod encode;
mod hash;
pub(crate) mod json;
mod json_array;
mod json_raw;
pub(crate) mod math;
mod net;
pub(crate) mod number;
pub(crate) mod printf;
mod regexp;
mod strftime;
mod strptime;
mod text;
mod timestamp;

use std::{collections::HashMap, sync::LazyLock};

use cell::{Cell, Kernel, Out};

use crate::types::SqlType;

/// One form of a function: the types it takes and gives.
#[derive(Clone)]
pub(crate) struct Form {
    /// Types of the arguments.
    pub(crate) params: Vec<SqlType>,
    /// Type of any number of further arguments.
    pub(crate) rest: Option<SqlType>,
    /// Type of the result.
    pub(crate) returns: SqlType,
    /// What it does.
    pub(crate) kernel: Kernel,
    /// Whether two calls with the same arguments may differ.
    pub(crate) volatile: bool,
}

/// All functions whose argument types are fixed, by upper-case name.
#[derive(Default)]
pub(crate) struct Table {
    forms: HashMap<String, Vec<Form>>,
}

/// The functions that can be called by name.
pub(crate) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::default();
    arith::register(&mut table);
    bits::register(&mut table);
    math::register(&mut table);
    text::register(&mut table);
    regexp::register(&mut table);
    encode::register(&mut table);
    date::register(&mut table);
    timestamp::register(&mut table);
    strftime::register(&mut table);
    strptime::register(&mut table);
    json::register(&mut table);
    json_array::register(&mut table);
    net::register(&mut table);
    table
});

impl Table {
    /// The forms of a function; empty if there is none.
    pub(crate) fn forms(&self, name: &str) -> &[Form] {
        self.forms.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names a person may call, for "did you mean".
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.forms.keys().map(String::as_str).filter(|name| !name.starts_with('_'))
    }

    pub(crate) fn push(&mut self, name: &str, form: Form) {
        self.forms.entry(name.to_owned()).or_default().push(form);
    }

    fn add(&mut self, name: &str, params: Vec<SqlType>, returns: SqlType, kernel: Kernel) {
        self.push(name, Form { params, rest: None, returns, kernel, volatile: false });
    }

    pub(crate) fn f0<R: Cell>(&mut self, name: &str, f: impl Fn() -> Out<R::Own> + Send + Sync + 'static) {
        self.push(
            name,
            Form { params: Vec::new(), rest: None, returns: R::sql(), kernel: cell::kernel0::<R>(f), volatile: true },
        );
    }

    pub(crate) fn f1<A: Cell, R: Cell>(
        &mut self,
        name: &str,
        f: impl for<'a> Fn(A::Get<'a>) -> Out<R::Own> + Send + Sync + 'static,
    ) {
        self.add(name, vec![A::sql()], R::sql(), cell::kernel1::<A, R>(f));
    }

    pub(crate) fn f2<A: Cell, B: Cell, R: Cell>(
        &mut self,
        name: &str,
        f: impl for<'a> Fn(A::Get<'a>, B::Get<'a>) -> Out<R::Own> + Send + Sync + 'static,
    ) {
        self.add(name, vec![A::sql(), B::sql()], R::sql(), cell::kernel2::<A, B, R>(f));
    }

    pub(crate) fn f3<A: Cell, B: Cell, C: Cell, R: Cell>(
        &mut self,
        name: &str,
        f: impl for<'a> Fn(A::Get<'a>, B::Get<'a>, C::Get<'a>) -> Out<R::Own> + Send + Sync + 'static,
    ) {
        self.add(name, vec![A::sql(), B::sql(), C::sql()], R::sql(), cell::kernel3::<A, B, C, R>(f));
    }

    pub(crate) fn f4<A: Cell, B: Cell, C: Cell, D: Cell, R: Cell>(
        &mut self,
        name: &str,
        f: impl for<'a> Fn(A::Get<'a>, B::Get<'a>, C::Get<'a>, D::Get<'a>) -> Out<R::Own> + Send + Sync + 'static,
    ) {
        let params = vec![A::sql(), B::sql(), C::sql(), D::sql()];
        self.add(name, params, R::sql(), cell::kernel4::<A, B, C, D, R>(f));
    }

    /// At least `least` arguments of one type.
    pub(crate) fn all<A: Cell, R: Cell>(
        &mut self,
        name: &str,
        least: usize,
        f: impl for<'a> Fn(&[A::Get<'a>]) -> Out<R::Own> + Send + Sync + 'static,
    ) {
        let kernel = cell::kernel_all::<A, R>(f);
        let params = vec![A::sql(); least];
        self.push(name, Form { params, rest: Some(A::sql()), returns: R::sql(), kernel, volatile: false });
    }

    /// Gives a function a second name.
    pub(crate) fn alias(&mut self, name: &str, other: &str) {
        let forms = self.forms(name).to_vec();
        self.forms.insert(other.to_owned(), forms);
    }
}
