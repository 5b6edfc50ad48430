//! JSON arrays as ARRAYs: the strict forms refuse an element of another type, the LAX_ ones make it NULL.

use serde_json::Value;

use super::{
    Table,
    cell::{Array1, Bool, Cell, Fail, Float, Int, Json, Out, Text, ok},
    json::{self, lax_bool, lax_float, lax_int, scalar_text, whole},
};

/// What reads one element.
type Read<T> = fn(&Value) -> Result<Option<T>, Fail>;

pub(super) fn register(t: &mut Table) {
    typed::<Int>(t, "INT64_ARRAY", |value| whole(value).map(Some));
    typed::<Float>(t, "FLOAT64_ARRAY", number);
    typed::<Float>(t, "DOUBLE_ARRAY", number);
    typed::<Float>(t, "FLOAT_ARRAY", number);
    typed::<Bool>(t, "BOOL_ARRAY", |value| {
        value.as_bool().map(Some).ok_or_else(|| Fail::from("JSON is not a boolean"))
    });
    typed::<Text>(t, "STRING_ARRAY", |value| match value {
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err("JSON is not a string".into()),
    });
    typed::<Int>(t, "LAX_INT64_ARRAY", |value| Ok(lax_int(value)));
    typed::<Float>(t, "LAX_FLOAT64_ARRAY", |value| Ok(lax_float(value)));
    typed::<Float>(t, "LAX_DOUBLE_ARRAY", |value| Ok(lax_float(value)));
    typed::<Float>(t, "LAX_FLOAT_ARRAY", |value| Ok(lax_float(value)));
    typed::<Bool>(t, "LAX_BOOL_ARRAY", |value| Ok(lax_bool(value)));
    typed::<Text>(t, "LAX_STRING_ARRAY", |value| Ok(scalar_text(value)));
    for name in ["JSON_VALUE_ARRAY", "JSON_EXTRACT_STRING_ARRAY"] {
        t.f1::<Json, Array1<Text>>(name, |a| scalars(a, "$"));
        t.f2::<Json, Text, Array1<Text>>(name, scalars);
        t.f1::<Text, Array1<Text>>(name, |a| scalars(a, "$"));
        t.f2::<Text, Text, Array1<Text>>(name, scalars);
    }
    for name in ["JSON_QUERY_ARRAY", "JSON_EXTRACT_ARRAY"] {
        t.f1::<Json, Array1<Json>>(name, |a| parts(a, "$"));
        t.f2::<Json, Text, Array1<Json>>(name, parts);
        t.f1::<Text, Array1<Text>>(name, |a| parts(a, "$"));
        t.f2::<Text, Text, Array1<Text>>(name, parts);
    }
}

fn number(value: &Value) -> Result<Option<f64>, Fail> {
    value.as_f64().map(Some).ok_or_else(|| Fail::from("JSON is not a number"))
}

fn typed<T: Cell>(t: &mut Table, name: &'static str, read: Read<T::Own>) {
    let lax = name.starts_with("LAX_");
    t.f1::<Json, Array1<T>>(name, move |a| match json::parse(a)? {
        Value::Array(values) => values.iter().map(read).collect::<Result<Vec<_>, _>>().map(Some),
        _ if lax => Ok(None),
        _ => Err("JSON is not an array".into()),
    });
}

/// The array at a path; NULL of text that is not JSON, or if there is no array.
fn array_at(text: &str, at: &str) -> Result<Option<Vec<Value>>, Fail> {
    let steps = json::path(at)?;
    Ok(json::parse(text)
        .ok()
        .and_then(|value| json::follow(&value, &steps).and_then(|found| found.as_array().cloned())))
}

/// The scalars of an array; NULL if it holds anything else.
fn scalars(text: &str, at: &str) -> Out<Vec<Option<String>>> {
    let Some(values) = array_at(text, at)? else { return Ok(None) };
    if values.iter().any(|value| value.is_array() || value.is_object()) {
        return Ok(None);
    }
    ok(values.iter().map(scalar_text).collect())
}

fn parts(text: &str, at: &str) -> Out<Vec<Option<String>>> {
    Ok(array_at(text, at)?.map(|values| values.iter().map(|value| Some(value.to_string())).collect()))
}
