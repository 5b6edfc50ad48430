//! A resolved function as DataFusion calls it: argument and result types are settled, the kernel is fixed.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use arrow::{
    array::{Array, ArrayRef},
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::ScalarValue,
    error::{DataFusionError, Result},
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::cell::{Args, Kernel};
use crate::types::SqlType;

/// One function with its types, ready to be called.
#[derive(Clone)]
pub(crate) struct Call {
    /// What is shown in plans; with `types` and `safe` it says which kernel this is.
    name: String,
    types: Vec<DataType>,
    returns: DataType,
    kernel: Kernel,
    safe: bool,
    signature: Signature,
}

impl Call {
    /// Builds the call of a kernel. `name` must hold everything that the kernel has baked in.
    pub(crate) fn expr(
        name: String,
        args: Vec<Expr>,
        types: Vec<SqlType>,
        returns: SqlType,
        kernel: Kernel,
        safe: bool,
        volatile: bool,
    ) -> Expr {
        let types = types.iter().map(SqlType::arrow).collect();
        Self::raw(name, args, types, returns.arrow(), kernel, safe, volatile)
    }

    /// The same on Arrow's types, for steps between types that SQL does not have.
    pub(crate) fn raw(
        name: String,
        args: Vec<Expr>,
        types: Vec<DataType>,
        returns: DataType,
        kernel: Kernel,
        safe: bool,
        volatile: bool,
    ) -> Expr {
        let volatility = if volatile { Volatility::Volatile } else { Volatility::Immutable };
        let signature = match args.len() {
            0 => Signature::nullary(volatility),
            count => Signature::any(count, volatility),
        };
        ScalarUDF::new_from_impl(Self { name, types, returns, kernel, safe, signature }).call(args)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?} -> {}", self.name, self.types, self.returns)
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.types == other.types && self.returns == other.returns && self.safe == other.safe
    }
}

impl Eq for Call {}

impl Hash for Call {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.types, &self.returns, self.safe).hash(state);
    }
}

impl ScalarUDFImpl for Call {
    fn name(&self) -> &str {
        &self.name
    }

    /// Two calls that differ in types or safety must not share a column name.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let args: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        let safe = if self.safe { "SAFE." } else { "" };
        Ok(format!("{safe}{}({})->{}", self.name, args.join(","), self.returns))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Field::new(&self.name, self.returns.clone(), true).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let volatile = self.signature.volatility == Volatility::Volatile;
        let constant = !volatile && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let mut columns: Vec<(ArrayRef, bool)> = Vec::with_capacity(args.args.len());
        for (at, arg) in args.args.into_iter().enumerate() {
            let (array, single) = match arg {
                ColumnarValue::Array(array) => (array, false),
                ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
            };
            let planned = self.types.get(at).cloned();
            columns.push((settle(array, planned)?, single));
        }
        let result = (self.kernel)(&Args { columns, rows, safe: self.safe })?;
        if constant {
            return ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// Readers of files may give another layout of the same values (string views, large lists).
fn settle(array: ArrayRef, planned: Option<DataType>) -> Result<ArrayRef> {
    match planned {
        Some(planned) if *array.data_type() != planned => {
            arrow::compute::cast(&array, &planned).map_err(DataFusionError::from)
        }
        _ => Ok(array),
    }
}
