//! Casts to types with parameters: NUMERIC(10, 2), STRING(5).
//!
//! Owns: rounding to a scale, and refusing what has too many digits or characters. Never cuts a text.

use super::{Planner, datatype::Bound, scope::Typed};
use crate::{
    error::{Result, SqlError},
    functions::{
        cell::{Big, Bytes, Fail, Kernel, Numeric, Text, kernel1},
        decimal,
    },
    types::SqlType,
};

impl Planner<'_> {
    /// A value of a type, within the bounds of the type's parameters.
    pub(super) fn bounded(arg: Typed, bound: Bound, safe: bool) -> Result<Typed> {
        let ty = arg.ty.clone();
        let kernel = kernel(&ty, bound).ok_or_else(|| SqlError::typed(format!("{ty} takes no such parameters")))?;
        Ok(Self::settled(format!("bounded[{ty} {bound:?}]"), vec![arg], ty, kernel, safe))
    }
}

fn kernel(ty: &SqlType, bound: Bound) -> Option<Kernel> {
    match (ty, bound) {
        (SqlType::Numeric, Bound::Digits { precision, scale }) => Some(kernel1::<Numeric, Numeric>(move |value| {
            let rounded = decimal::round(value, scale.into(), decimal::Rounding::HalfAway)?;
            // In billionths: 10^(precision - scale) is the first number with too many digits.
            let end = 10_i128.checked_pow(u32::from(precision - scale) + 9);
            if end.is_none_or(|end| rounded.abs() < end) { Ok(Some(rounded)) } else { Err(too_many(precision, scale)) }
        })),
        (SqlType::BigNumeric, Bound::Digits { precision, scale }) => Some(kernel1::<Big, Big>(move |value| {
            decimal::big_within(value, precision, scale)?.map(Some).ok_or_else(|| too_many(precision, scale))
        })),
        (SqlType::String, Bound::Length(most)) => Some(kernel1::<Text, Text>(move |text| {
            if text.chars().nth(most).is_none() { Ok(Some(text.to_owned())) } else { Err(too_long(most, "characters")) }
        })),
        (SqlType::Bytes, Bound::Length(most)) => Some(kernel1::<Bytes, Bytes>(move |bytes| {
            if bytes.len() <= most { Ok(Some(bytes.to_vec())) } else { Err(too_long(most, "bytes")) }
        })),
        _ => None,
    }
}

fn too_many(precision: u8, scale: u8) -> Fail {
    Fail::from(
        format!(
            "a number has more than the {} digits before the point of NUMERIC({precision}, {scale})",
            precision - scale
        )
        .as_str(),
    )
}

fn too_long(most: usize, of: &str) -> Fail {
    Fail::from(format!("a value has more than {most} {of}; LEFT(x, {most}) cuts it").as_str())
}
